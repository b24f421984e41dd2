"""What holds for every test. The embedded AWS and ``unique`` come from forkstream's own fixtures for plugins' authors."""

from __future__ import annotations

import os

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
