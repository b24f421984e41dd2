"""Contract 9: what fits where is checked before the first receive, with everything else and all at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import pytest

from forkstream import Context, Event, EventSink, Settings
from forkstream.ports import Switches
from forkstream.registry import Kind
from tests.config_kit import (
    Bucket,
    Compress,
    Encrypt,
    Enrich,
    Queue,
    Scrub,
    Table,
    TableConfig,
    found,
    load,
    messages,
    offer,
)

WHOLE = """
    forks:
      storage-backup:
        source: {queue: {queue: orders, aws: {profile: reader}}}
        stages: [scrub, enrich, compress: {level: 5}, encrypt: {key: abcd}]
        sink: {bucket: {bucket: abc}}
        format: {json: {envelope: true}}
        dead_letter:
          stages: [encrypt: {key: efgh}]
          sink: {bucket: {bucket: dead}}
          include_unsanitised: true
        aws: {role_arn: writer}
      search:
        source: {queue: {queue: search}}
        sink: table
    aws: {region: eu-west-1, profile: base}
"""


def fork(rest: str) -> str:
    return f"forks: {{one: {{source: {{queue: {{queue: q}}}}, {rest}}}}}"


def test_a_plan_holds_the_plugins_built_and_in_their_order() -> None:
    plan = load(WHOLE).plans[0]
    assert [type(each) for each in (plan.source, *plan.chain)] == [Queue, Scrub, Enrich]
    assert [type(each) for each in (*plan.object_stages, plan.sink)] == [Compress, Encrypt, Bucket]
    assert plan.object_stages[0].config.level == 5  # type: ignore[attr-defined]  # a fake stage of ours
    assert (plan.format.suffix, plan.name, plan.settings.concurrency) == (".envelope.json", "storage-backup", None)
    assert plan.dead_letter is not None
    assert [type(each) for each in (*plan.dead_letter.object_stages, plan.dead_letter.sink)] == [Encrypt, Bucket]
    assert (plan.dead_letter.max_ratio, plan.dead_letter.include_unsanitised) == (0.1, True)


def test_a_plan_names_each_step_as_the_config_does() -> None:
    plan = load(WHOLE).plans[0]
    assert [name for name, _ in plan.steps] == [
        "source.queue",
        "stages[0].scrub",
        "stages[1].enrich",
        "stages[2].compress",
        "stages[3].encrypt",
        "sink.bucket",
        "dead_letter.stages[0].encrypt",
        "dead_letter.sink.bucket",
    ]
    assert plan.step(plan.object_stages[1]) == "stages[3].encrypt"


def test_a_plugin_stands_in_its_fork_with_the_nearest_aws_settings() -> None:
    switches = Switches({"bug": True})
    backup, search = load(WHOLE, run="r1", switches=switches).plans
    context = backup.source.context
    assert (context.fork, context.run, context.switches) == ("storage-backup", "r1", switches)
    assert (context.aws.region, context.aws.profile, context.aws.role_arn) == ("eu-west-1", "reader", "writer")
    assert (backup.sink.context.aws.profile, search.sink.context.aws.role_arn) == ("base", None)


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        (
            "stages: [scrub, compress], sink: table",
            "forks.one.stages[1].compress: works on objects, but the sink table takes events: leave it out, or take a sink of objects",
        ),
        (
            "stages: [compress, scrub], sink: {bucket: {bucket: abc}}",
            "forks.one.stages[1].scrub: takes events, but stages[0].compress before it has made an object of them: it has to stand before that",
        ),
        (
            "stages: [compress, enrich], sink: {bucket: {bucket: abc}}",
            "forks.one.stages[1].enrich: takes events, but stages[0].compress before it has made an object of them: it has to stand before that",
        ),
        (
            "stages: [encrypt: {key: abcd}, compress], sink: {bucket: {bucket: abc}}",
            "forks.one.stages[1].compress: stands after stages[0].encrypt, but what is encrypted does not shrink: put it before that",
        ),
        (
            "sink: table, format: json",
            "forks.one.sink.table: takes events, not objects, so `format` means nothing here: leave it out",
        ),
        (
            "sink: table, dead_letter: {stages: [scrub], sink: {bucket: {bucket: abc}}}",
            "forks.one.dead_letter.stages[0].scrub: takes events: a dead letter keeps its event as it was, so only object stages can stand here",
        ),
        (
            "sink: table, dead_letter: {stages: [compress], sink: table}",
            "forks.one.dead_letter.stages[0].compress: works on objects, but the sink table takes events: leave it out, or take a sink of objects",
        ),
        (
            "sink: table, dead_letter: {stages: [compress], include_unsanitised: true, sink: {bucket: {bucket: abc}}}",
            "forks.one.dead_letter.include_unsanitised: needs a stage that encrypts among dead_letter.stages, such as encrypt; found none",
        ),
        (
            "source: {queue: {queue: q.fifo}}, sink: table",
            "forks.one.sink.table: does not keep an order, but the source queue is ordered: take another sink or an unordered source",
        ),
        (
            "sink: {bucket: {bucket: abc}}, format: {}",
            "forks.one.format: expected one format, ndjson or json, with its settings below it",
        ),
        (
            "sink: compress",
            "forks.one.sink: 'compress' is a stage, not a sink; known sinks: bucket, embedded, ordered-table, table",
        ),
    ],
)
def test_what_cannot_stand_where_it_stands_is_a_problem(rest: str, problem: str) -> None:
    text = f"forks: {{one: {{{rest if 'source' in rest else 'source: {queue: {queue: q}}, ' + rest}}}}}"
    assert messages(text) == [problem]


def test_other_object_stages_may_stand_after_one_that_encrypts() -> None:
    assert load(fork("stages: [encrypt: {key: abcd}, encrypt: {key: efgh}], sink: {bucket: {bucket: abc}}")).plans


def test_an_ordered_source_takes_a_sink_that_keeps_its_order() -> None:
    assert load("forks: {one: {source: {queue: {queue: q.fifo}}, sink: ordered-table}}").plans


def test_a_plugin_of_one_process_refuses_a_second_worker() -> None:
    text = fork("sink: embedded")
    assert load(text, workers=1).plans
    assert messages(text, workers=2) == ["forks.one.sink.embedded: runs in one process only, found 2 workers"]


TWO = "forks: {{a: {{source: {}, sink: table, aws: {{region: {}}}}}, b: {{source: {}, sink: table}}}}"


def test_two_forks_on_one_queue_are_a_problem() -> None:
    same = "forks.b.source.queue: receives from where forks.a.source.queue receives: each fork needs a queue of its own, since each event goes to one of them"
    assert messages(TWO.format("{queue: {queue: q}}", "~", "{queue: {queue: q}}")) == [same]
    assert load(TWO.format("{queue: {queue: q}}", "~", "{queue: {queue: p}}")).plans
    assert load(TWO.format("{queue: {queue: q}}", "eu-west-1", "{queue: {queue: q}}")).plans
    assert load(TWO.format("in-memory", "~", "in-memory")).plans
    source = "{source: {queue: {queue: q}}, sink: table}"
    third = f"forks: {{a: {source}, b: {source}, c: {source}}}"
    assert messages(third) == [same, same.replace("forks.b", "forks.c")], "each is told once"


def test_a_source_that_tells_its_identity_is_recognised_in_any_spelling() -> None:
    text = TWO.format("{named: {queue: 'https://sqs/1/q'}}", "eu-west-1", "{named: {queue: q}}")
    assert [problem.path for problem in found(text)] == ["forks.b.source.named"]


def without_paths(messages: list[str]) -> list[str]:
    """Leave of each place in the source the file's name."""
    return [re.sub(r"\(\S*/(\S+):\d+ ", r"(\1:N ", message) for message in messages]


class Dials(Table):
    def __init__(self, config: TableConfig, context: Context) -> None:
        raise ConnectionRefusedError(111, "Connection refused")


class TakesOne(Table):
    def __init__(self, config: TableConfig) -> None:
        super().__init__(config, Context(fork="test"))


class HalfMade(Table):
    def __init__(self, config: TableConfig, context: Context) -> None:
        self.settings = config


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (Dials, "cannot be made: ConnectionRefusedError: [Errno 111] Connection refused (test_config_fit.py:N in Dials.__init__): __init__ does no I/O, so connect and read in __aenter__"),
        (TakesOne, "cannot be made: TypeError: TakesOne.__init__() takes 2 positional arguments but 3 were given: __init__ is called with (config, context)"),
        (HalfMade, "is only half made: its __init__ has to call super().__init__(config, context)"),
    ],
)  # fmt: skip
def test_a_constructor_that_breaks_the_contract_is_told_what_a_constructor_is_for(
    plugin: type[Table], told: str
) -> None:
    told_ = messages(fork("sink: odd"), more=[offer(Kind.SINK, "odd", plugin)])
    assert without_paths(told_) == [f"forks.one.sink.odd: {told}"]


def test_a_refusal_of_a_plugin_s_constructor_is_a_problem_at_its_place() -> None:
    text = fork("sink: {bucket: {bucket: abc}}, stages: [encrypt: {key: abcd, cipher: crash}]")
    assert without_paths(messages(text)) == [
        (
            "forks.one.stages[0].encrypt: cannot be made: RuntimeError: no such cipher (config_kit.py:N in Encrypt.__init__): "
            "__init__ raises ValueError for settings that cannot work, and nothing else"
        )
    ]
    text = fork("sink: {bucket: {bucket: abc}}, stages: [encrypt: {key: abcd, cipher: none}]")
    assert messages(text) == ["forks.one.stages[0].encrypt: cipher none takes no key, found ********"]
    text = fork("sink: {bucket: {bucket: abc}}, stages: [encrypt: {key: abcd, cipher: rot13}]")
    assert messages(text) == ["forks.one.stages[0].encrypt: cipher rot13 is no cipher"]


def test_settings_that_cannot_be_understood_are_the_plugin_s_problem_and_told_as_such() -> None:
    class Odd(Settings):
        what: Nowhere  # type: ignore[name-defined]  # noqa: F821  # what this test is about

    class OddSink(EventSink[Odd]):
        def __init__(self, config: Odd, context: Context) -> None:
            super().__init__(config, context)

        async def write(self, events: Sequence[Event]) -> list[object]:  # type: ignore[override]
            return []

    (problem,) = messages(fork("sink: odd"), more=[offer(Kind.SINK, "odd", OddSink)])
    assert problem == "forks.one.sink.odd: its settings Odd cannot be understood: name 'Nowhere' is not defined"


def test_contract_9_a_config_with_many_mistakes_shows_them_all_at_once() -> None:
    problems = found(
        """
        forks:
          storage-backup:
            source: {queue: {queue: "${BACKUP_QUEUE}"}}
            stages:
              - compress: {level: 99}
              - scrub: {dorp: [a]}
              - nowhere
              - encrypt: {key: abcd, cipher: none}
            sink: {bucket: {bucket: abc, part: 5}}
            batch: {max_events: 0, max_aeg: 60s}
            paused: maybe
          search:
            source: {queue: {queue: q.fifo}}
            sink: table
            format: json
          again:
            source: {queue: {queue: q.fifo}}
            sink: ordered-table
        control: nowhere
    """,
        environ={"FORKSTREAM_ADMIN__PROT": "1"},
    )
    assert [f"{problem.place.line} {problem.path}" for problem in problems] == [
        "3 forks.storage-backup.source.queue.queue",
        "5 forks.storage-backup.stages[0].compress.level",
        "6 forks.storage-backup.stages[1].scrub",
        "6 forks.storage-backup.stages[1].scrub.dorp",
        "7 forks.storage-backup.stages[2]",
        "8 forks.storage-backup.stages[3].encrypt",
        "9 forks.storage-backup.sink.bucket.part",
        "10 forks.storage-backup.batch.max_events",
        "10 forks.storage-backup.batch.max_aeg",
        "11 forks.storage-backup.paused",
        "14 forks.search.sink.table",
        "14 forks.search.sink.table",
        "17 forks.again.source.queue",
        "19 control",
        "0 admin",
    ]


def test_contract_10_only_the_plugins_that_a_config_names_are_loaded() -> None:
    loaded: list[str] = []

    def load_it(name: str) -> type[Table]:
        loaded.append(name)
        return Table

    offers = [offer(Kind.SINK, "mine", Table), offer(Kind.SINK, "other", Table)]
    watched = [
        type(each)(
            **{field: getattr(each, field) for field in each.__struct_fields__ if field != "load"},
            load=partial(load_it, each.name),
        )
        for each in offers
    ]
    assert load(fork("sink: mine"), more=watched).plans
    assert set(loaded) == {"mine"}
