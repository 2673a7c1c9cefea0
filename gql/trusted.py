"""Documents that are asked for by their hash: those of a manifest, and those that clients registered (APQ).

https://www.apollographql.com/docs/apollo-server/performance/apq says how clients register; the hash is SHA-256 in hex.
"""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from gql.errors import BAD_USER_INPUT, FORBIDDEN, PERSISTED_QUERY_NOT_FOUND, refused
from gql.request import Request

MOST = 1_000
"""Registered documents that are remembered, the ones asked for last."""
MOST_TEXT = 4_194_304
"""Characters of all of them together."""
_PREFIX = "sha256:"


class TrustedDocuments:
    def __init__(self, manifest: Mapping[str, str] | None = None, *, only: bool = False) -> None:
        """`manifest` has documents by their hash; with `only` there are no others.

        Raises:
            ValueError: A hash is not that of its document.
        """
        self._manifest = {key.removeprefix(_PREFIX): text for key, text in (manifest or {}).items()}
        for key, text in self._manifest.items():
            if key != _hash(text):
                raise ValueError(f"{key[:80]} is not the SHA-256 of its document")
        self._texts = frozenset(self._manifest.values())
        self._only = only
        self._registered: OrderedDict[str, str] = OrderedDict()
        self._length = 0

    def text_of(self, request: Request) -> str:
        """The document that is asked for.

        Raises:
            Refused: There is none, its hash is unknown or not its own, or it is not trusted and must be.
        """
        if request.document_id is None and request.extensions is None and not self._only and request.query:
            return request.query  # nearly always
        key = None if request.document_id is None else request.document_id.removeprefix(_PREFIX)
        if request.extensions is not None and (asked := request.extensions.get("persistedQuery")) is not None:
            key = _apq_hash(asked)
        if key is not None and (known := self._known(key)) is not None:
            return known
        text = request.query
        if not text:
            if key is None:
                raise refused(BAD_USER_INPUT, "The request has no query")
            raise refused(PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound")
        if self._only and text not in self._texts:
            raise refused(FORBIDDEN, "Only documents of the manifest are answered")
        if key is not None:
            self._register(key, text)
        return text

    def _known(self, key: str) -> str | None:
        text = self._manifest.get(key)
        if text is None and (text := self._registered.get(key)) is not None:
            self._registered.move_to_end(key)
        return text

    def _register(self, key: str, text: str) -> None:
        if key != _hash(text):
            raise refused(BAD_USER_INPUT, "The hash of the persisted query is not that of the query")
        self._registered[key] = text
        self._length += len(text)
        while len(self._registered) > MOST or self._length > MOST_TEXT:
            _, oldest = self._registered.popitem(last=False)
            self._length -= len(oldest)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _apq_hash(asked: Any) -> str:
    if isinstance(asked, dict) and asked.get("version") == 1 and isinstance(asked.get("sha256Hash"), str):
        return str(asked["sha256Hash"]).lower()
    raise refused(BAD_USER_INPUT, "extensions.persistedQuery is not {version: 1, sha256Hash: string}")
