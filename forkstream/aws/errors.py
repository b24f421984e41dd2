"""What an error of AWS means to the runtime: one table for every service, used by every AWS plugin."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import aiohttp
import botocore.exceptions as boto
from botocore.parsers import ResponseParserError

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError

# Names of AWS's error codes without prefix (`AWS.SimpleQueueService.`, `KMS.`), without `Exception` and in any case,
# since services differ in all three; each under the code that forkstream reports.
_UNAVAILABLE = {
    "denied": """
        AccessDenied AccountProblem AccountSuspended AllAccessDisabled AuthFailure AuthorizationError Forbidden InvalidPayer
        KmsAccessDenied KmsOptInRequired NotAuthorized NotSignedUp OptInRequired UnauthorizedAccess UnauthorizedOperation""",
    "credentials": """
        ExpiredToken IDPRejectedClaim IncompleteSignature InvalidAccessKeyId InvalidClientTokenId InvalidIdentityToken
        InvalidSecurity InvalidSignature InvalidToken MissingAuthenticationToken MissingSecurityHeader
        SignatureDoesNotMatch TokenRefreshRequired UnrecognizedClient""",
    "clock_skew": "RequestExpired RequestInTheFuture RequestTimeTooSkewed",
    "missing": """
        InvalidAddress NonExistentQueue NoSuchBucket NotFound ParameterNotFound QueueDoesNotExist ResourceNotFound
        TableNotFound TopicDoesNotExist""",
    "wrong_region": "AuthorizationHeaderMalformed IllegalLocationConstraint PermanentRedirect",
    "key_unusable": """
        Disabled InvalidGrantToken InvalidKeyUsage KmsDisabled KmsInvalidKeyUsage KmsInvalidState KmsNotFound""",
    "unsupported": "InvalidAction MethodNotAllowed NotImplemented UnknownOperation UnsupportedOperation",
}
_TRANSIENT = {
    "throttled": """
        BandwidthLimitExceeded KmsThrottled KmsThrottling LimitExceeded OverLimit PriorRequestNotComplete
        ProvisionedThroughputExceeded RequestLimitExceeded RequestThrottled SlowDown Throttled ThrottledRequest Throttling
        TooManyRequests""",
    "timeout": "DependencyTimeout RequestTimeout",
    "server_error": "InternalError InternalFailure InternalServerError KeyUnavailable KmsInternal ServiceUnavailable",
    "conflict": """
        ConcurrentModification ConditionalRequestConflict NoSuchUpload OperationAborted ReplicatedWriteConflict
        ResourceInUse TransactionConflict TransactionInProgress""",
    "redirected": "Redirect TemporaryRedirect",  # to where a new bucket is, until its name leads there
    "damaged_in_transit": "BadDigest IncompleteBody InvalidDigest XAmzContentChecksumMismatch XAmzContentSHA256Mismatch",
}
_PERMANENT = {
    "too_large": "BatchRequestTooLong EntityTooLarge KeyTooLongError MetadataTooLarge RequestEntityTooLarge",
    "invalid_characters": "InvalidMessageContents",
    "item_collection_full": "ItemCollectionSizeLimitExceeded",
    "condition_failed": "ConditionalCheckFailed PreconditionFailed",
    "undecryptable": "IncorrectKey InvalidCiphertext",
}
_BY_NAME: dict[str, tuple[type[DeliveryError], str]] = {
    name.casefold(): (kind, code)
    for kind, table in ((UnavailableError, _UNAVAILABLE), (TransientError, _TRANSIENT), (PermanentError, _PERMANENT))
    for code, names in table.items()
    for name in names.split()
}
_BY_STATUS: dict[int, tuple[type[DeliveryError], str]] = {
    301: (UnavailableError, "wrong_region"),
    302: (UnavailableError, "redirected"),  # these four are no service's: a proxy wants a login
    303: (UnavailableError, "redirected"),
    307: (UnavailableError, "redirected"),
    308: (UnavailableError, "redirected"),
    401: (UnavailableError, "credentials"),
    403: (UnavailableError, "denied"),
    404: (UnavailableError, "missing"),
    405: (UnavailableError, "unsupported"),
    408: (TransientError, "timeout"),
    409: (TransientError, "conflict"),
    412: (PermanentError, "condition_failed"),
    413: (PermanentError, "too_large"),
    429: (TransientError, "throttled"),
    501: (UnavailableError, "unsupported"),
}
# Errors that never reached a service, or whose answer never came back. The first match counts.
_BY_TYPE: tuple[tuple[tuple[type[Exception], ...], type[DeliveryError], str], ...] = (
    ((boto.ReadTimeoutError, boto.ConnectTimeoutError, TimeoutError), TransientError, "timeout"),
    ((boto.HTTPClientError, boto.ConnectionError, aiohttp.ClientError, OSError), TransientError, "connection"),
    (
        (boto.ChecksumError, boto.FlexibleChecksumError, boto.IncompleteReadError, ResponseParserError),
        TransientError,
        "damaged_in_transit",
    ),
    (
        (
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.CredentialRetrievalError,
            boto.MetadataRetrievalError,
            boto.NoAuthTokenError,
            boto.RefreshWithMFAUnsupportedError,
            boto.SSOError,
            boto.TokenRetrievalError,
            boto.UnknownCredentialError,
        ),
        UnavailableError,
        "credentials",
    ),
    ((boto.InvalidRegionError, boto.UnknownRegionError), UnavailableError, "misconfigured"),
    ((boto.ParamValidationError, boto.ValidationError, boto.MissingParametersError), PermanentError, "invalid"),
    ((boto.BotoCoreError,), UnavailableError, "misconfigured"),
)

_SAFE_NAME = re.compile(r"[A-Za-z0-9._#-]{1,80}")
_PERMISSION = re.compile(r"perform: ([a-z0-9-]+:[A-Za-z]+)")
_KEY_OR_ROLE = re.compile(r"arn:aws[a-z-]*:(?:kms:[a-z0-9-]*:\d*:(?:key|alias)/[\w/-]+|iam::\d+:role/[\w+=,.@/-]+)")


def classify(error: Exception, *, action: str, resource: str) -> DeliveryError:
    """Tell what an error of an AWS call means: try again, never, or not until someone mends it.

    ``action`` is the permission that the call needs (``s3:PutObject``), ``resource`` the bucket, queue, table or
    key it was about: both stand in every ``detail``, so neither may hold anything of an event (an object's key does).
    An ``UnavailableError``'s detail quotes nothing else of AWS's message but the permission and the key or role in it.
    """
    if isinstance(error, DeliveryError):
        return error
    if isinstance(wrapped := _wrapped(error), DeliveryError):
        return wrapped  # raised by what connects
    if isinstance(error, boto.ClientError):
        return _of_answer(error, f"{action} on {resource}")
    where = f"{action} on {resource}: {type(error).__name__}"
    if _is_untrusted(error):
        return UnavailableError("certificate", where)
    for types, kind, code in _BY_TYPE:
        if isinstance(error, types):
            return kind(code, where if kind is UnavailableError else f"{where}: {error}")
    return PermanentError("unexpected_error", f"{where}: {error}")


def classify_entry(name: str, *, sender_fault: bool) -> tuple[type[DeliveryError], str]:
    """Tell the same of one failed entry of a batch, by its ``Code`` and ``SenderFault``: the kind and forkstream's code."""
    return _BY_NAME.get(_bare(name)) or (
        (PermanentError, "rejected") if sender_fault else (TransientError, "server_error")
    )


@contextmanager
def translating(action: str, resource: str) -> Iterator[None]:
    """Turn what an AWS call raises into one of the three kinds; other exceptions are bugs and pass as they are.

    ``with translating("s3:PutObject", bucket): await s3.put_object(...)``
    """
    try:
        yield
    except (boto.ClientError, boto.BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
        # `from None`: the message may quote an event, and a logged traceback would print it
        raise classify(error, action=action, resource=resource) from None


def _of_answer(error: boto.ClientError, where: str) -> DeliveryError:
    about = error.response.get("Error", {})
    name, message = str(about.get("Code", "")), str(about.get("Message", ""))
    answer = error.response.get("ResponseMetadata", {})
    status = answer.get("HTTPStatusCode", 400)
    kind, code = _BY_NAME.get(_bare(name)) or _BY_STATUS.get(status) or _of_status(status)
    plain = _plain(name)
    named = plain if _SAFE_NAME.fullmatch(plain) else f"HTTP {status}"
    if kind is UnavailableError:
        culprits = [match[1] for match in [_PERMISSION.search(message)] if match]
        culprits += [match[0] for match in [_KEY_OR_ROLE.search(message)] if match]
        header = str(about.get("Header", ""))  # S3's word for what it does not implement
        culprits += [header] if _SAFE_NAME.fullmatch(header) else []
        return UnavailableError(code, " ".join([f"{where}: {named}", *culprits]))
    detail = f"{where}: {named}: {message}"
    if kind is TransientError:
        return TransientError(code, detail, retry_after=_retry_after(answer.get("HTTPHeaders", {})))
    return kind(code, detail)


def _of_status(status: int) -> tuple[type[DeliveryError], str]:
    return (TransientError, "server_error") if status >= 500 else (PermanentError, "rejected")


def _plain(name: str) -> str:
    """Take off what may stand around a name in the JSON protocols: ``com.amazonaws.sqs#Name:http://internal.amazon.com/…``."""
    return name.partition(":")[0].rpartition("#")[2]


def _bare(name: str) -> str:
    return _plain(name).rpartition(".")[2].removesuffix("Exception").removesuffix("Fault").casefold()


def _retry_after(headers: dict[str, str]) -> float | None:
    """Read the server's wish in seconds; its other form, a date, is left to the runtime's own back-off."""
    with suppress(ValueError):
        seconds = float(headers.get("retry-after", ""))
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _wrapped(error: BaseException) -> object:
    """What botocore was told by its HTTP client."""
    return error.kwargs.get("error") if isinstance(error, boto.BotoCoreError) else None


def _is_untrusted(error: BaseException) -> bool:
    """Look for a refused certificate under the layers of aiohttp and botocore: no retry mends one."""
    causes = (_wrapped(error), error.__cause__, getattr(error, "certificate_error", None))
    return isinstance(error, ssl.SSLCertVerificationError) or any(
        _is_untrusted(cause) for cause in causes if isinstance(cause, BaseException)
    )
