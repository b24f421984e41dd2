from __future__ import annotations

from forkstream.demo.environment import secluded

OWN = {
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "BUG_ENABLED": "false",
    "OPENSEARCH_SIGV4": "",
}


def test_nothing_of_the_user_s_leads_the_demo_elsewhere() -> None:
    leading = {
        "AWS_PROFILE": "production",
        "AWS_ENDPOINT_URL_SQS": "https://sqs.example.com",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_SESSION_TOKEN": "token",
        "FORKSTREAM_CONFIG": "ssm:/orders/forkstream",
        "FORKSTREAM_FORKS__CHECKOUT__PAUSED": "true",
        "BUG_ENABLED": "true",
        "OPENSEARCH_SIGV4": "es",
    }
    assert secluded(leading) == OWN | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def test_what_else_the_user_has_stays_and_loopback_needs_no_proxy() -> None:
    mine = {"PATH": "/bin", "HTTPS_PROXY": "http://proxy:3128", "no_proxy": "example.com", "FORKSTREAM_DEBUG": "1"}
    assert secluded(mine) == OWN | mine | {"NO_PROXY": "127.0.0.1", "no_proxy": "example.com,127.0.0.1"}
