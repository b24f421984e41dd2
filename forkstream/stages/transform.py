"""The ``transform`` stage: a Firehose transformation function, in this process or in Lambda."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Annotated, Any, Self

import anyio
import msgspec
from msgspec import Meta

from forkstream.aws.concurrently import concurrently
from forkstream.aws.lambda_function import MAX_PAYLOAD, MAX_SECONDS, LambdaFunction
from forkstream.aws.lambda_handler import LambdaHandler
from forkstream.bounded_threads import BoundedThreads
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import Event, Failure, FailureKind
from forkstream.ports import AsyncStage, Context, Load, Permission
from forkstream.settings import AwsSettings, Duration, Settings
from forkstream.stages.transformation import Outcome, Transformation, chunks, decode_response, encode_request

_MARGIN = 5.0


class TransformConfig(Settings):
    """Which function transforms the events: exactly one of ``handler`` and ``lambda``."""

    handler: Annotated[
        str | None, Meta(description="pkg.module:function, a handler as Firehose invokes it, called in this process")
    ] = None
    lambda_: Annotated[
        str | None, Meta(description="name or ARN of a Lambda function, with a version or alias if wanted")
    ] = msgspec.field(name="lambda", default=None)
    timeout: Annotated[
        Duration,
        Meta(
            description="time for one call; a call that takes longer is given up and its events come again",
            gt=0,
            le=MAX_SECONDS,
        ),
    ] = Duration(60)
    at_once: Annotated[int, Meta(description="calls under way at once, in threads if in this process", ge=1)] = 4
    sanitizes: Annotated[
        bool,
        Meta(
            description="true if what goes in must not be stored in the clear: its failures need an encrypted dead letter"
        ),
    ] = False
    aws: Annotated[AwsSettings, Meta(description="where and as whom Lambda is reached, if not as the fork")] = (
        AwsSettings()
    )


class Transform(AsyncStage[TransformConfig]):
    """Sends events through a transformation function of Firehose, unchanged: Ok goes on, Dropped ends, ProcessingFailed is dead.

    Where Firehose fails a whole invocation, this finds the event: it halves until single events stand accused. An
    event for which the function fails is dead if it has an answer for another event of the same receive; where it has
    none, the function is taken for broken, and nobody is blamed. ``lambda`` needs ``lambda:InvokeFunction``.
    """

    def __init__(self, config: TransformConfig, context: Context) -> None:
        super().__init__(config, context)
        self.sanitizes = config.sanitizes  # type: ignore[misc]  # a constant of other stages, of this one a choice
        self._aws = config.aws.over(context.aws)
        self._handler: LambdaHandler | None = None
        self._function: LambdaFunction | None = None
        match config.handler, config.lambda_:
            case str(handler), None:
                self._handler = LambdaHandler(handler, seconds=config.timeout)
                self._threads = BoundedThreads(config.at_once)
            case None, str(function):
                LambdaFunction.region_of(function)
            case found:
                raise ValueError(f"expected exactly one of handler and lambda, found {2 - found.count(None)}")

    def billed(self, load: Load) -> Mapping[str, float]:
        """A call of Lambda for each 10 events, since a receive is transformed as it came; its duration is not known here."""
        return {} if self.config.lambda_ is None else {"lambda_request": load.events / 10}

    def permissions(self) -> Iterable[Permission]:
        if self.config.lambda_ is not None:
            name = self.config.lambda_
            arn = (
                name if name.startswith("arn:") else f"arn:{{partition}}:lambda:{{region}}:{{account}}:function:{name}"
            )
            yield Permission(actions=("lambda:InvokeFunction",), resource=arn, aws=self._aws)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._handler is not None:
                await self._handler.load()
            else:
                self._function = await stack.enter_async_context(self._open())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def check(self) -> None:
        """Import the handler, or ask Lambda by a dry run; the function itself is not run."""
        if self._handler is not None:
            await self._handler.load()
        else:
            async with self._open() as function:
                await function.check()

    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Outcome]:
        parts = list(chunks(events, MAX_PAYLOAD))
        answers = await concurrently(self._transformed, parts, at_once=self.config.at_once)
        outcomes: dict[Event, Outcome] = {}
        accused: dict[Event, PermanentError] = {}
        errors: list[DeliveryError] = []
        for part, answer in zip(parts, answers, strict=True):
            if isinstance(answer, DeliveryError):
                errors.append(answer)
                outcomes |= {event: Failure.transient(event, answer.code, answer.detail) for event in part}
                continue
            for event, outcome in answer.items():
                if isinstance(outcome, PermanentError):
                    accused[event] = outcome
                else:
                    outcomes[event] = outcome
        if errors and len(errors) == len(parts):  # nothing went through, so nothing is forgotten by raising
            raise next((error for error in errors if isinstance(error, UnavailableError)), errors[0])
        if accused and len(accused) == len(events):
            raise _doubt(list(accused.values()))
        proven = any(
            not isinstance(outcome, Failure) or outcome.kind is FailureKind.PERMANENT for outcome in outcomes.values()
        )
        fail = Failure.permanent if proven else Failure.transient
        return outcomes | {event: fail(event, error.code, error.detail) for event, error in accused.items()}

    async def _transformed(self, events: Sequence[Event]) -> dict[Event, Outcome | PermanentError]:
        """Call the function; if it fails, halve until single events stand accused."""
        transformation = Transformation(events, stream=self.context.fork, region=self._aws.region or "local")
        invoke = self._in_process if self._handler else self._in_lambda
        try:
            return {**transformation.outcomes(await self._in_time(partial(invoke, transformation.request)))}
        except PermanentError as error:
            if len(events) == 1:
                return {events[0]: error}
            half = len(events) // 2
            return {**await self._transformed(events[:half]), **await self._transformed(events[half:])}

    async def _in_time(self, call: Callable[[], Awaitable[object]]) -> object:
        try:
            with anyio.fail_after(self.config.timeout + (0 if self._handler else _MARGIN)):
                return await call()
        except TimeoutError:
            raise TransientError("timeout", f"no answer within {self.config.timeout}") from None

    async def _in_process(self, request: dict[str, Any]) -> object:
        assert self._handler is not None  # noqa: S101  # it is this or Lambda
        return await self._threads.run(partial(self._handler, request))

    async def _in_lambda(self, request: dict[str, Any]) -> object:
        assert self._function is not None, "the stage is not open"  # noqa: S101
        return decode_response(await self._function(encode_request(request)))

    def _open(self) -> AbstractAsyncContextManager[LambdaFunction]:
        return LambdaFunction.open(self.config.lambda_ or "", self._aws, seconds=self.config.timeout)


def _doubt(errors: Sequence[PermanentError]) -> DeliveryError:
    """Nothing went through: of several events, the function is to blame; of a lone one nobody can tell, so it comes again."""
    kind = UnavailableError if len(errors) > 1 else TransientError
    return kind(errors[0].code, "the function failed for each event" if len(errors) > 1 else errors[0].detail)
