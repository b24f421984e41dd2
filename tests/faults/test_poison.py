"""One poison event among ten thousand: it alone is dead, and its neighbours are written once (contract 2)."""

from __future__ import annotations

import json
import time

import pytest

from tests.faults.service_process import serving, wait_until
from tests.faults.site import Site, numbered

pytestmark = pytest.mark.usefixtures("unmeasured")

EVENTS = 10_000
POISON = 6_667
PLUGIN = """
from pathlib import Path

from forkstream import EventSink, Settings


class LedgerSettings(Settings):
    path: Path


class Ledger(EventSink[LedgerSettings]):
    '''Appends numbers to a file, a whole batch or nothing; it fails on one number without saying on which.'''

    def write(self, events):
        numbers = [event.data["n"] for event in events]
        assert %d not in numbers
        with self.config.path.open("a") as ledger:
            ledger.write("".join(f"{number}\\n" for number in numbers))
        return ()
"""
FORKS = """
forks:
  ledger:
    source: {sqs: {queue: "{name}-orders", envelope: raw}}
    sink: {ledger: {path: "{directory}/ledger"}}
    batch: {max_events: 1000, max_age: 2s}
    dead_letter: {sink: {file: {directory: "{directory}/dead"}}}
"""


def test_one_poison_event_among_ten_thousand_takes_no_neighbour_along(site: Site) -> None:
    plugin = site.directory / "ledger.py"
    plugin.write_text(PLUGIN % POISON)
    queue = site.queue("orders")

    with serving(site.config(FORKS), "--plugin", str(plugin)) as service:
        queue.send(numbered(range(EVENTS)))
        wait_until(lambda: not queue.left, 100, service.logged)
        status = service.fork("ledger")

    assert (status["written"], status["dead"], status["retried"]) == (EVENTS - 1, 1, 0)
    written = sorted(map(int, (site.directory / "ledger").read_text().split()))
    assert written == [number for number in range(EVENTS) if number != POISON]
    (letter,) = [json.loads(path.read_bytes()) for path in (site.directory / "dead").rglob("*.ndjson")]
    assert json.loads(letter["body"])["n"] == POISON
    assert letter["code"] == "unexpected_AssertionError"
    assert letter["time"] <= time.time()
