"""Settings of what clients may ask for, as a user writes them."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from candleql.errors import UserError
from candleql.settings import Settings, read_settings
from gql.limits import Limits
from gql.request import Request

TEXT = "{ __typename }"
HASH = sha256(TEXT.encode()).hexdigest()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a .env file."""
    monkeypatch.chdir(tmp_path)


def test_limits_are_the_same_by_default_in_settings_and_in_the_application():
    assert Settings().limits == Limits()


def test_every_limit_has_its_setting(monkeypatch):
    for name, value in {
        "MAX_QUERY_DEPTH": "3",
        "INTROSPECTION": "false",
        "RATE_LIMIT": "0",
        "QUERY_TIMEOUT": "1.5",
    }.items():
        monkeypatch.setenv(name, value)

    limits = read_settings().limits

    assert (limits.depth, limits.introspection, limits.points_a_minute, limits.seconds) == (3, False, 0, 1.5)


@pytest.mark.parametrize("key", [HASH, f"sha256:{HASH}"])
def test_a_manifest_is_read_as_graphql_codegen_writes_it(tmp_path, monkeypatch, key):
    (tmp_path / "documents.json").write_text(json.dumps({key: TEXT}))
    monkeypatch.setenv("TRUSTED_DOCUMENTS", "documents.json")
    monkeypatch.setenv("TRUSTED_ONLY", "true")

    trusted = read_settings().trusted()

    assert trusted.text_of(Request(document_id=f"sha256:{HASH}")) == TEXT


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", '{"a": 1}', json.dumps({"0" * 64: TEXT})],
    ids=["absent", "empty", "list", "number", "hash"],
)
def test_a_manifest_that_cannot_be_used_is_told_in_one_line(tmp_path, monkeypatch, content):
    if content is not None:
        (tmp_path / "documents.json").write_text(content)
    monkeypatch.setenv("TRUSTED_DOCUMENTS", "documents.json")

    with pytest.raises(UserError, match=r"^TRUSTED_DOCUMENTS: documents.json: .+"):
        read_settings().trusted()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"RATE_LIMIT": "999999"}, "RATE_LIMIT is below MAX_QUERY_COST"),
        ({"TRUSTED_ONLY": "true"}, "TRUSTED_ONLY wants TRUSTED_DOCUMENTS"),
        ({"MAX_QUERY_TOKENS": "0"}, "MAX_QUERY_TOKENS: "),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(monkeypatch, variables, told):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(UserError, match=told):
        read_settings()
