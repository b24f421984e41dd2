"""What holds for every test. The embedded AWS and ``unique`` come from forkstream's own fixtures for plugins' authors."""

from __future__ import annotations

import gc
import os
import pkgutil
import sys
from collections.abc import Generator
from importlib import import_module
from itertools import groupby
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import settings

# time limits are pytest's: shared machines are slow now and then
settings.register_profile(
    "forkstream",
    deadline=None,
    print_blob=True,
    # a pipeline gives the same answer twice; on a developer's machine each run looks at other examples
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("forkstream")

# hundreds of processes start in a run: what one of them has compiled, the next need not, whatever the machine's habit
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_MEASURED = ("forkstream", "forkstream_checkout", "forkstream_duckdb", "forkstream_postgres")
_BESIDE_SERVICES = ("tests/acceptance/", "tests/faults/")
"""What is tested there runs in processes of its own, and is measured in those."""
_LONG = (
    *_BESIDE_SERVICES,
    "tests/authors/",
    "tests/typing/",
    "tests/integration/test_two_services",
    "tests/integration/test_dlq",
)


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than there are cores: many a test waits for a server, a queue or a timer."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """Measure what modules run when they are imported, and not how pytest reads the tests, which takes twice as long so."""
    coverage = getattr(session.config.pluginmanager.get_plugin("_cov"), "cov_controller", None)
    if coverage is None or not hasattr(session.config, "workerinput"):
        if coverage is not None and session.config.getoption("dist", "no") != "no":
            coverage.pause()  # no test runs in this process
        return (yield)
    _import_all()
    coverage.pause()
    # a worker measures as a child process and as a process of pytest's too: those would go on where pytest-cov pauses
    while inherited := Coverage.current():
        inherited.stop()
        inherited.save()
    try:
        return (yield)
    finally:
        coverage.resume()


def _import_all() -> None:
    """Import everything that is measured."""
    for name in _MEASURED:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)


def pytest_collection_finish() -> None:
    """Let the garbage collector look at the tests no more: they stay, and going over six thousand of them takes long."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal the long tests out, and measure no coverage in property tests.

    That makes them three to five times as slow, and examples cover the same lines. Others can be marked ``unmeasured``
    for the same reason.
    """
    items[:] = _dealt(items, getattr(config, "workerinput", {}).get("workercount", 1))
    if config.getoption("no_cov", default=True):  # pytest-cov knows the mark only while it measures
        return
    for item in items:
        is_property = isinstance(item, pytest.Function) and getattr(item.obj, "is_hypothesis_test", False)
        beside = item.nodeid.startswith(_BESIDE_SERVICES)
        if is_property or beside or item.get_closest_marker("unmeasured"):
            item.add_marker(pytest.mark.no_cover)


def _dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Let each worker begin with its share of the long tests, file by file, so that none of them is what the end waits for.

    xdist gives each worker as many tests as any other, in their order; who has none left takes from another's last.
    """
    if workers == 1:
        return items
    files = [list(file) for _, file in groupby(items, lambda item: item.path)]
    long = [file for file in files if file[0].nodeid.startswith(_LONG)]
    short = [item for file in files if not file[0].nodeid.startswith(_LONG) for item in file]
    dealt: list[pytest.Item] = []
    for number in range(workers):
        mine = [item for file in long[number::workers] for item in file]
        room = max(0, (len(items) - len(dealt)) // (workers - number) - len(mine))
        dealt += mine + short[:room]
        del short[:room]
    return dealt + short
