"""What a plugin's author tests with. A whole test of a sink::

    from forkstream.testing.conformance import EventSinkConformance

    class TestWebhook(EventSinkConformance):
        def plugin(self) -> Webhook:
            return Webhook(WebhookConfig(url="http://127.0.0.1:8080"), Context(fork="test"))

- ``conformance``: a suite per port, every rule a named test
- ``make_events``: events and batches to write, and the odd bodies that a queue brings sooner or later
- ``memory_sink``, ``memory_object_sink``, and :mod:`forkstream.sources.memory`: the ends of a fork, in memory
- ``clock``: a loop whose time jumps, so that minutes of back-off pass at once
- ``loop_watch``: what blocks the loop, and for how much CPU time; ``cancellation``: a call cancelled at every point
- ``rule``: rules of one's own
- ``fixtures``: ``aws``, ``aws_server``, ``unique`` and ``context`` for pytest, there wherever forkstream is installed

It needs pytest. Nothing is imported here: pytest loads the fixtures in every run, also in those that never use them.
"""
