"""Every error forkstream raises or takes from a plugin.

    ForkstreamError
    ├── ConfigError            the configuration cannot be run; holds every problem found
    ├── PluginError            a plugin is missing, ambiguous, broken or made for another version of the ports
    ├── CommandError           a command cannot do what was asked; its message says what to do next
    └── DeliveryError          what a plugin raises while it works; one of three kinds:
        ├── TransientError     try the same again a little later
        ├── PermanentError     these events will never go through
        │   ├── UndecodableError   an event's body is not what its stage has to read
        │   └── UnexpectedError    a plugin's bug, met by these events: never raised, what is none of the three becomes it
        └── UnavailableError   the destination cannot be used at all until someone mends it

Catch the root for all that forkstream raises on purpose.
"""

from __future__ import annotations

from typing import Final

from forkstream.raised_at import raised_at


class ForkstreamError(Exception):
    """The root: catch this to catch all that forkstream raises on purpose."""


class ConfigError(ForkstreamError):
    """The configuration cannot be run.

    ``problems`` holds every problem that was found, one line each: where (a dotted path such as
    ``forks.storage-backup.batch.max_age``), what was found, what would fit, and the nearest known name.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PluginError(ForkstreamError):
    """A plugin is missing, ambiguous, broken or made for another version of the ports."""


class CommandError(ForkstreamError):
    """A command cannot do what was asked. The message says what was found and what to do next."""


class DeliveryError(ForkstreamError):
    """What a plugin raises while it works: raise one of the three kinds below, never this.

    ``code`` is short, stable snake_case; it labels logs and metrics, so it never holds a value of an event.
    ``detail`` may quote values: it reaches the dead letter and nothing else.
    """

    code = "unnamed"  # of a plugin's own error that does not call this constructor
    detail = ""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = str(code)  # whatever a plugin gives: it is counted by it
        self.detail = detail


class TransientError(DeliveryError):
    """Try the same again a little later: a throttle, a time-out, a lost connection.

    ``retry_after`` is the destination's own wish in seconds, where it stated one.
    """

    retry_after: float | None = None

    def __init__(self, code: str, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        # a header's text is no number, and a wish that cannot be read is none
        self.retry_after = retry_after if isinstance(retry_after, int | float) else None


class PermanentError(DeliveryError):
    """These events will never go through: about the events, never about the destination.

    Raised for a batch of several events, the batch is halved until single events stand accused.
    """


class UndecodableError(PermanentError):
    """An event's body is not what its stage has to read: not JSON, not an object, nested too deep."""


class UnexpectedError(PermanentError):
    """A plugin raised, or gave back, what no port allows: a bug that these events met. The runtime makes it of that.

    Nobody has said that these events will never go through: metrics and logs call it a bug. ``place`` is the plugin's
    line that raised it, which the log tells.
    """

    place = ""


class UnavailableError(DeliveryError):
    """The destination cannot be used at all until someone mends it: credentials, permission, a missing bucket, a disabled key.

    The fork halts and probes; no event is blamed. ``detail`` should name the missing permission or resource.
    """


WISHES_TO_END: Final = (KeyboardInterrupt, GeneratorExit)
"""What no plugin raises by itself. All else that it raises is its own, ``sys.exit`` and a panic of compiled code too."""


def as_delivery_error(error: BaseException) -> DeliveryError:
    """Give any exception that a plugin raised its kind: what is none of the three is a bug that these events met."""
    if isinstance(error, DeliveryError):
        return error
    if isinstance(error, TimeoutError):
        return TransientError("timeout", _text_of(error))
    bug = UnexpectedError(f"unexpected_{type(error).__name__}", _text_of(error))
    bug.place = raised_at(error)
    return bug


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an author's own __str__ may fail too
        return ""
