"""A real OpenSearch, in an index of the demo's own."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from opensearchpy import NotFoundError, OpenSearch, OpenSearchException

from forkstream.demo.application import DEPLOY
from forkstream.demo.search import Search
from forkstream.errors import CommandError

_INDEX_SETTING = "FORKSTREAM_FORKS__SEARCH_ANALYTICS__STAGES__1__INDEX__NAME"


class OpenSearchSearch(Search):
    """One index of the cluster at ``url``."""

    config = DEPLOY / "ecommerce.yaml"

    def __init__(self, client: OpenSearch, url: str, index: str) -> None:
        self._client = client
        self._index = index
        self.environment = {"OPENSEARCH_URL": url, _INDEX_SETTING: index}
        address = url.rstrip("/") + f"/{index}/_search?q=payment.currency:usd&pretty"
        self.command = f"curl {shlex.quote(address)}"

    def amounts(self) -> dict[int, float]:
        query = {"query": {"match_all": {}}, "_source": ["id", "payment.amount"]}
        try:
            self._client.indices.refresh(index=self._index)
            hits = self._client.search(index=self._index, body=query, size=10_000)["hits"]["hits"]
        except NotFoundError:
            return {}
        return {hit["_source"]["id"]: float(hit["_source"]["payment"]["amount"]) for hit in hits}

    def remove(self) -> None:
        """Delete the index."""
        self._client.indices.delete(index=self._index, ignore_unavailable=True)


@contextmanager
def opensearch_search(url: str) -> Iterator[OpenSearchSearch]:
    """Search the cluster at ``url``; raises :class:`CommandError` if it does not answer. The index is deleted at the end."""
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)  # what it has to say is said by its exceptions
    try:
        client = OpenSearch(url, timeout=30)
        client.info()
    except (OpenSearchException, ValueError) as error:
        raise CommandError(f"--opensearch {url}: no OpenSearch answers: {type(error).__name__}") from None
    search = OpenSearchSearch(client, url, f"forkstream-demo-{time.time_ns() // 1_000_000}")
    try:
        yield search
    finally:
        with suppress(OpenSearchException):
            search.remove()
        client.close()
