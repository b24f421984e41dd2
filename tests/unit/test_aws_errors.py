from __future__ import annotations

import ssl
from typing import Any

import aiohttp
import botocore.exceptions as boto
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore.parsers import ResponseParserError

from forkstream.aws.errors import classify, classify_entry, translating
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError


def answer(
    name: str, status: int = 400, message: str = "", headers: dict[str, str] | None = None, operation: str = "PutObject"
) -> boto.ClientError:
    response: Any = {
        "Error": {"Code": name, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
    }
    return boto.ClientError(response, operation)


def judge(error: Exception) -> tuple[type[DeliveryError], str]:
    found = classify(error, action="s3:PutObject", resource="the-bucket")
    return type(found), found.code


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        # someone has to mend it
        ("AccessDenied", 403, (UnavailableError, "denied")),
        ("AccessDeniedException", 400, (UnavailableError, "denied")),
        ("AuthorizationErrorException", 403, (UnavailableError, "denied")),
        ("KMSAccessDeniedException", 400, (UnavailableError, "denied")),
        ("KmsAccessDenied", 400, (UnavailableError, "denied")),
        ("KmsOptInRequired", 403, (UnavailableError, "denied")),
        ("AllAccessDisabled", 403, (UnavailableError, "denied")),
        ("403", 403, (UnavailableError, "denied")),
        ("SomethingNew", 403, (UnavailableError, "denied")),
        ("UnrecognizedClientException", 400, (UnavailableError, "credentials")),
        ("ExpiredToken", 400, (UnavailableError, "credentials")),
        ("ExpiredTokenException", 403, (UnavailableError, "credentials")),
        ("InvalidClientTokenId", 403, (UnavailableError, "credentials")),
        ("InvalidAccessKeyId", 403, (UnavailableError, "credentials")),
        ("SignatureDoesNotMatch", 403, (UnavailableError, "credentials")),
        ("InvalidSignatureException", 403, (UnavailableError, "credentials")),
        ("MissingAuthenticationTokenException", 403, (UnavailableError, "credentials")),
        ("RequestTimeTooSkewed", 403, (UnavailableError, "clock_skew")),
        ("RequestExpired", 400, (UnavailableError, "clock_skew")),
        ("NoSuchBucket", 404, (UnavailableError, "missing")),
        ("404", 404, (UnavailableError, "missing")),
        ("ResourceNotFoundException", 400, (UnavailableError, "missing")),
        ("QueueDoesNotExist", 400, (UnavailableError, "missing")),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, (UnavailableError, "missing")),
        ("com.amazonaws.sqs#QueueDoesNotExist", 400, (UnavailableError, "missing")),
        ("NotFoundException", 400, (UnavailableError, "missing")),
        ("ParameterNotFound", 400, (UnavailableError, "missing")),
        ("PermanentRedirect", 301, (UnavailableError, "wrong_region")),
        ("301", 301, (UnavailableError, "wrong_region")),
        ("AuthorizationHeaderMalformed", 400, (UnavailableError, "wrong_region")),
        ("DisabledException", 400, (UnavailableError, "key_unusable")),
        ("KMS.DisabledException", 400, (UnavailableError, "key_unusable")),
        ("KmsDisabled", 400, (UnavailableError, "key_unusable")),
        ("KMSInvalidStateException", 400, (UnavailableError, "key_unusable")),
        ("KMS.NotFoundException", 400, (UnavailableError, "missing")),
        ("KmsNotFound", 400, (UnavailableError, "key_unusable")),
        ("UnsupportedOperation", 400, (UnavailableError, "unsupported")),
        ("AccessDeniedException:http://internal.amazon.com/coral/", 400, (UnavailableError, "denied")),
        ("aws.kms#DisabledException:http://internal.amazon.com/coral/", 400, (UnavailableError, "key_unusable")),
        ("302", 302, (UnavailableError, "redirected")),
        ("308", 308, (UnavailableError, "redirected")),
        ("MethodNotAllowed", 405, (UnavailableError, "unsupported")),
        ("NotImplemented", 501, (UnavailableError, "unsupported")),
        # try again
        ("ThrottlingException", 400, (TransientError, "throttled")),
        ("Throttling", 400, (TransientError, "throttled")),
        ("RequestThrottled", 403, (TransientError, "throttled")),
        ("KmsThrottled", 400, (TransientError, "throttled")),
        ("ProvisionedThroughputExceededException", 400, (TransientError, "throttled")),
        ("RequestLimitExceeded", 400, (TransientError, "throttled")),
        ("TooManyRequestsException", 400, (TransientError, "throttled")),
        ("OverLimit", 403, (TransientError, "throttled")),
        ("SlowDown", 503, (TransientError, "throttled")),
        ("SomethingNew", 429, (TransientError, "throttled")),
        ("RequestTimeout", 400, (TransientError, "timeout")),
        ("SomethingNew", 408, (TransientError, "timeout")),
        ("InternalError", 500, (TransientError, "server_error")),
        ("InternalServerError", 500, (TransientError, "server_error")),
        ("ServiceUnavailable", 503, (TransientError, "server_error")),
        ("KMSInternalException", 500, (TransientError, "server_error")),
        ("KeyUnavailableException", 500, (TransientError, "server_error")),
        ("SomethingNew", 500, (TransientError, "server_error")),
        ("502", 502, (TransientError, "server_error")),
        ("ConditionalRequestConflict", 409, (TransientError, "conflict")),
        ("TransactionConflictException", 400, (TransientError, "conflict")),
        ("OperationAborted", 409, (TransientError, "conflict")),
        ("TemporaryRedirect", 307, (TransientError, "redirected")),
        ("Redirect", 307, (TransientError, "redirected")),
        ("BadDigest", 400, (TransientError, "damaged_in_transit")),
        ("XAmzContentChecksumMismatch", 400, (TransientError, "damaged_in_transit")),
        # about the events
        ("ValidationException", 400, (PermanentError, "rejected")),
        ("InvalidParameterValue", 400, (PermanentError, "rejected")),
        ("InvalidMessageContents", 400, (PermanentError, "invalid_characters")),
        ("EntityTooLarge", 400, (PermanentError, "too_large")),
        ("BatchRequestTooLong", 400, (PermanentError, "too_large")),
        ("SomethingNew", 413, (PermanentError, "too_large")),
        ("ItemCollectionSizeLimitExceededException", 400, (PermanentError, "item_collection_full")),
        ("ConditionalCheckFailedException", 400, (PermanentError, "condition_failed")),
        ("PreconditionFailed", 412, (PermanentError, "condition_failed")),
        ("412", 412, (PermanentError, "condition_failed")),
        ("InvalidCiphertextException", 400, (PermanentError, "undecryptable")),
        ("SomethingNew", 400, (PermanentError, "rejected")),
        ("", 400, (PermanentError, "rejected")),
    ],
)
def test_an_answer_of_aws_has_one_meaning(name: str, status: int, expected: tuple[type[DeliveryError], str]) -> None:
    assert judge(answer(name, status)) == expected


def certificate_error() -> boto.SSLError:
    refused = ssl.SSLCertVerificationError("certificate verify failed")
    key = ConnectionKey("sqs", 443, True, True, None, None, None)
    return boto.SSLError(endpoint_url="https://sqs", error=aiohttp.ClientConnectorCertificateError(key, refused))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (boto.NoCredentialsError(), (UnavailableError, "credentials")),
        (boto.PartialCredentialsError(provider="env", cred_var="x"), (UnavailableError, "credentials")),
        (boto.CredentialRetrievalError(provider="x", error_msg="y"), (UnavailableError, "credentials")),
        (boto.UnauthorizedSSOTokenError(), (UnavailableError, "credentials")),
        (boto.SSOTokenLoadError(error_msg="x"), (UnavailableError, "credentials")),
        (boto.MetadataRetrievalError(error_msg="x"), (UnavailableError, "credentials")),
        (boto.NoRegionError(), (UnavailableError, "misconfigured")),
        (boto.InvalidRegionError(region_name="x y"), (UnavailableError, "misconfigured")),
        (boto.ProfileNotFound(profile="gone"), (UnavailableError, "misconfigured")),
        (boto.UnknownEndpointError(service_name="x", region_name="y"), (UnavailableError, "misconfigured")),
        (certificate_error(), (UnavailableError, "certificate")),
        (boto.ReadTimeoutError(endpoint_url="http://x"), (TransientError, "timeout")),
        (boto.ConnectTimeoutError(endpoint_url="http://x"), (TransientError, "timeout")),
        (TimeoutError(), (TransientError, "timeout")),
        (boto.EndpointConnectionError(endpoint_url="http://x"), (TransientError, "connection")),
        (boto.ConnectionClosedError(endpoint_url="http://x"), (TransientError, "connection")),
        (boto.ProxyConnectionError(proxy_url="http://x"), (TransientError, "connection")),
        (boto.SSLError(endpoint_url="http://x", error=OSError("reset")), (TransientError, "connection")),
        (boto.HTTPClientError(error=ValueError("x")), (TransientError, "connection")),
        (boto.ResponseStreamingError(error=ValueError("x")), (TransientError, "connection")),
        (aiohttp.ServerDisconnectedError(), (TransientError, "connection")),
        (ConnectionResetError(), (TransientError, "connection")),
        (ResponseParserError("x"), (TransientError, "damaged_in_transit")),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), (TransientError, "damaged_in_transit")),
        (boto.ParamValidationError(report="x"), (PermanentError, "invalid")),
        (KeyError("x"), (PermanentError, "unexpected_error")),
    ],
)
def test_an_error_on_the_way_has_one_meaning(error: Exception, expected: tuple[type[DeliveryError], str]) -> None:
    assert judge(error) == expected


def test_what_is_unavailable_names_the_action_the_resource_and_aws_own_code() -> None:
    found = classify(answer("AccessDenied", 403), action="s3:PutObject", resource="the-bucket")
    assert found.detail == "s3:PutObject on the-bucket: AccessDenied"


def test_what_is_unavailable_names_the_permission_and_key_that_aws_missed_and_quotes_nothing_else() -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/0a1b"
    message = (
        f"User: x is not authorized to perform: kms:GenerateDataKey on resource: {key} because of 4111111111111111"
    )
    found = classify(answer("AccessDenied", 403, message), action="s3:PutObject", resource="the-bucket")
    assert found.detail == f"s3:PutObject on the-bucket: AccessDenied kms:GenerateDataKey {key}"


def test_a_name_is_shown_without_what_a_service_hangs_around_it() -> None:
    name = "com.amazonaws.sqs#QueueDoesNotExist:http://internal.amazon.com/coral/com.amazonaws.sqs/"
    found = classify(answer(name), action="sqs:ReceiveMessage", resource="orders")
    assert found.detail == "sqs:ReceiveMessage on orders: QueueDoesNotExist"


def test_what_a_store_does_not_implement_is_named_by_the_header_that_asked_for_it() -> None:
    refusal = answer("NotImplemented", 501, "A header you provided implies functionality that is not implemented")
    about: Any = refusal.response["Error"]
    about["Header"] = "If-None-Match"
    found = classify(refusal, action="s3:PutObject", resource="the-bucket")
    assert found.detail == "s3:PutObject on the-bucket: NotImplemented If-None-Match"
    about["Header"] = "x-amz-meta: 4111 1111"
    assert "4111" not in classify(refusal, action="s3:PutObject", resource="the-bucket").detail


def test_an_object_key_in_the_message_never_reaches_what_is_unavailable() -> None:
    message = "not authorized to perform: s3:PutObject on resource: arn:aws:s3:::b/customer=4111111111111111/x"
    found = classify(answer("AccessDenied", 403, message), action="s3:PutObject", resource="the-bucket")
    assert "4111" not in found.detail


def test_a_code_that_is_no_name_is_not_repeated() -> None:
    found = classify(answer("4111 1111", 403), action="s3:PutObject", resource="the-bucket")
    assert found.detail == "s3:PutObject on the-bucket: HTTP 403"


def test_a_permanent_error_keeps_the_message_for_the_dead_letter() -> None:
    found = classify(answer("ValidationException", 400, "bad value 7"), action="dynamodb:PutItem", resource="table")
    assert found.detail == "dynamodb:PutItem on table: ValidationException: bad value 7"


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), ("Wed, 21 Oct", None), ("nan", None), ("-1", None)]
)
def test_the_servers_own_wish_to_wait_is_kept(header: str, seconds: float | None) -> None:
    found = classify(answer("SlowDown", 503, headers={"retry-after": header}), action="a", resource="b")
    assert isinstance(found, TransientError)
    assert found.retry_after == seconds


def test_one_of_the_three_kinds_passes_unchanged() -> None:
    error = PermanentError("x")
    assert classify(error, action="a", resource="b") is error


def test_translating_leaves_bugs_alone() -> None:
    with pytest.raises(KeyError), translating("a", "b"):
        raise KeyError


def test_translating_shows_no_cause_that_a_traceback_could_print() -> None:
    with pytest.raises(PermanentError) as caught, translating("a", "b"):
        raise answer("ValidationException", 400, "secret")
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "sender_fault", "expected"),
    [
        ("RequestThrottled", True, (TransientError, "throttled")),
        ("AWS.SimpleQueueService.KmsDisabled", True, (UnavailableError, "key_unusable")),
        ("InvalidMessageContents", True, (PermanentError, "invalid_characters")),
        ("InvalidParameterValue", True, (PermanentError, "rejected")),
        ("InternalError", False, (TransientError, "server_error")),
        ("SomethingNew", False, (TransientError, "server_error")),
    ],
)
def test_an_entry_of_a_batch_has_one_meaning(
    name: str, sender_fault: bool, expected: tuple[type[DeliveryError], str]
) -> None:
    assert classify_entry(name, sender_fault=sender_fault) == expected
