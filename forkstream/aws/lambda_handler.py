"""A Lambda function's code, called in this process."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from functools import partial

import anyio.to_thread

from forkstream.aws.errors import translating
from forkstream.aws.lambda_context import LambdaContext
from forkstream.errors import DeliveryError, PermanentError, UnavailableError

_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class LambdaHandler:
    """A handler ``pkg.module:function`` that takes ``(event, context)`` and blocks, as it was written for Lambda.

    Its module is imported when the plugin opens, not before: what stands at its top may ask for a region or for
    credentials. Threads call the handler, several at once if the fork writes several batches at once; Lambda has a
    process for each call.
    """

    def __init__(self, reference: str, *, seconds: float) -> None:
        """Read the reference; raises ValueError. ``seconds`` is the time that the context tells the handler it has."""
        if not _REFERENCE.fullmatch(reference):
            raise ValueError(f"handler: expected pkg.module:function, found {reference!r}")
        self.reference = reference
        self._seconds = seconds
        self._function: Callable[[object, LambdaContext], object] | None = None

    async def load(self) -> None:
        """Import the handler, in a thread; raises :class:`~forkstream.errors.UnavailableError` that says why it cannot be used."""
        self._function = await anyio.to_thread.run_sync(partial(_imported, self.reference), abandon_on_cancel=True)

    def __call__(self, event: object) -> object:
        """Call the handler and block until it returns.

        What boto3 or the network raised in it is told by its kind, so a throttle is tried again and a missing table
        halts the fork; anything else that the handler raises is a PermanentError ``handler_raised``.
        """
        assert self._function is not None, "the handler is not loaded"  # noqa: S101
        name = self.reference.replace(":", ".")
        context = LambdaContext(name, f"arn:aws:lambda:local:000000000000:function:{name}", self._seconds)
        try:
            with translating(f"handler {self.reference}", "what it uses"):
                return self._function(event, context)
        except DeliveryError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a stranger's code
            # `from None`: its text may quote an event, and a logged traceback would print it
            raise PermanentError("handler_raised", f"{type(error).__name__}: {error}") from None


def _imported(reference: str) -> Callable[[object, LambdaContext], object]:
    module, _, name = reference.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a stranger's code
        raise UnavailableError("handler_unusable", f"handler {reference}: {type(error).__name__}: {error}") from None
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise UnavailableError("handler_unusable", f"handler {reference} is not a plain function")
    return function  # type: ignore[no-any-return]  # its arguments are the stranger's promise
