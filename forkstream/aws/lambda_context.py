"""The second argument of a Lambda handler."""

from __future__ import annotations

import os
import time
from uuid import uuid4


class LambdaContext:
    """What AWS Lambda tells a Python handler of its call, see "Using the Lambda context object".

    Each call has an ``aws_request_id`` of its own. ``memory_limit_in_mb``, a text there too, is what the environment
    says (``AWS_LAMBDA_FUNCTION_MEMORY_SIZE``) or empty: here nothing but the container limits the memory.
    """

    function_version = "$LATEST"
    identity = None
    client_context = None
    log_group_name = ""
    log_stream_name = ""

    def __init__(self, function_name: str, arn: str, seconds: float) -> None:
        self.function_name = function_name
        self.invoked_function_arn = arn
        self.aws_request_id = str(uuid4())
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """How long the call may still take, in milliseconds; 0 when its time is over."""
        return max(0, round((self._end - time.monotonic()) * 1000))
