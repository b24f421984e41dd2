"""Signals end the demo's work once, in order, and at last."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

HEAD = """
import os, signal, sys, time
from forkstream.demo.interruptible import Interrupted, hold_signals, interruptible
def me(name): os.kill(os.getpid(), getattr(signal, name))
"""


def outcome(program: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program], capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_nothing_cuts_its_end_short(number: signal.Signals) -> None:
    program = f"""
try:
    with interruptible():
        me("{number.name}")
        print("not reached")
except Interrupted as interrupted:
    me("SIGINT"); me("SIGTERM"); me("SIGHUP")
    print("ended by", interrupted.number)
"""
    assert outcome(program) == (0, [f"ended by {number.value}"])


def test_signals_wait_while_they_are_held() -> None:
    program = """
hold_signals()
me("SIGTERM")
print("held")
try:
    with interruptible():
        print("not reached")
except Interrupted as interrupted:
    print("ended by", interrupted.number)
"""
    assert outcome(program) == (0, ["held", "ended by 15"])


def test_an_interrupt_that_is_swallowed_comes_again() -> None:
    program = """
try:
    with interruptible():
        try:
            me("SIGTERM")
        except BaseException:
            print("swallowed")
        time.sleep(60)
        print("not reached")
except Interrupted as interrupted:
    print("ended by", interrupted.number)
"""
    assert outcome(program) == (0, ["swallowed", "ended by 15"])


def test_an_interrupt_that_became_another_error_is_still_one() -> None:
    program = """
try:
    with interruptible():
        try:
            me("SIGINT")
        except BaseException:
            raise ImportError
except Interrupted as interrupted:
    print("ended by", interrupted.number)
"""
    assert outcome(program) == (0, ["ended by 2"])


def test_an_error_without_a_signal_stays_what_it_is() -> None:
    program = """
try:
    with interruptible():
        raise ValueError("mine")
except ValueError as error:
    print(error)
"""
    assert outcome(program) == (0, ["mine"])


def test_nohup_is_respected() -> None:
    program = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with interruptible():
    me("SIGHUP")
    print("goes on")
"""
    assert outcome(program) == (0, ["goes on"])
