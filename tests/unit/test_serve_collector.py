"""Python's collector of cycles stays off the hot path."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from forkstream.serve import _collect_seldom


@pytest.fixture
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("_as_before")
async def test_what_a_service_has_loaded_is_never_looked_at_again() -> None:
    _collect_seldom()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] == 50_000
    assert gc.isenabled()
