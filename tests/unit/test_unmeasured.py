"""A test that is to be unmeasured is: a run takes half as long again where a tracer goes on."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.unmeasured
def test_nothing_traces_a_test_that_is_unmeasured() -> None:
    assert sys.gettrace() is None
