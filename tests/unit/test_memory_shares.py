"""The memory of a config is divided by workers, then by the forks that have no budget of their own."""

from __future__ import annotations

from forkstream.assembly import SHARE, flow_of, lender_of
from forkstream.config.loading import load_config

MIB = 2**20
TEXT = """
memory: 256MiB
forks:
  one: {source: memory, sink: blackhole}
  two: {source: memory, sink: blackhole}
  own: {source: memory, sink: blackhole, budget: {max_bytes: 7MiB}}
"""


def test_the_memory_is_divided_by_workers_then_by_forks_without_a_budget_of_their_own() -> None:
    config = load_config("env:TEXT", environ={"TEXT": TEXT})
    lender = lender_of(config.plans, config.file.memory, workers=2)
    flows = {plan.name: flow_of(plan, lender=lender) for plan in config.plans}
    assert (flows["one"].max_held_bytes, flows["two"].max_held_bytes) == (64 * MIB, 64 * MIB)
    assert flows["one"].lender is flows["two"].lender is lender
    assert lender.guaranteed == 32 * MIB
    assert (flows["own"].max_held_bytes, flows["own"].lender) == (7 * MIB, None)


def test_where_nobody_says_how_much_there_is_each_fork_has_a_fixed_share() -> None:
    config = load_config("env:TEXT", environ={"TEXT": TEXT})
    assert lender_of(config.plans, None).share == SHARE
