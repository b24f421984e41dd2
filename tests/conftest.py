"""What holds for every test. The embedded AWS and ``unique`` come from forkstream's own fixtures for plugins' authors."""

from __future__ import annotations

from hypothesis import settings

# time limits are pytest's: shared machines are slow now and then
settings.register_profile("forkstream", deadline=None, print_blob=True)
settings.load_profile("forkstream")
