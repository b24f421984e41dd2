"""STS as the stub speaks it: every role may be assumed, by the query protocol of AWS."""

from __future__ import annotations

from forkstream.bench.stub.connection import Reply, Request, answer

ACTION = b"Action=AssumeRole"
_BODY = b"""\
<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::000000000000:assumed-role/bench/forkstream</Arn><AssumedRoleId>AROA:forkstream</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>ASIAFORKSTREAMBENCH0</AccessKeyId><SecretAccessKey>bench</SecretAccessKey>
<SessionToken>bench</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleResult><ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata>
</AssumeRoleResponse>"""


def assume_role(_: Request, reply: Reply) -> None:
    """Answer with credentials that the stub takes, as it takes all."""
    reply(answer(200, _BODY, "Content-Type: text/xml\r\n"))
