"""Documents that the server knows by their hash: those that clients register, and those of a manifest."""

import json

import httpx2
import pytest

from gql.errors import Refused
from gql.request import Request
from gql.trusted import MOST, TrustedDocuments
from tests.gql_server import WAIT, Client, an_app, graphql_ws, running
from tests.test_admission import ASKED, client, code, hashed, persisted, posted

pytestmark = pytest.mark.anyio
__all__ = ["client"]


async def test_a_query_is_registered_by_its_hash_and_then_asked_for_by_it_alone(client):
    unknown = await posted(client, persisted(ASKED, query=False))
    registered = await posted(client, persisted(ASKED))
    known = await posted(client, persisted(ASKED, query=False))
    extensions = json.dumps(persisted(ASKED)["extensions"])
    got = await client.http.get("/graphql", params={"extensions": extensions})

    assert (code(unknown), unknown["errors"][0]["message"]) == ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
    assert registered["data"] == known["data"] == got.json()["data"] == {"bot": None}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(persisted("{ other }") | {"query": ASKED}, id="the hash of another"),
        pytest.param({"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "x"}}}, id="another version"),
        pytest.param({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": 7}}}, id="no hash"),
        pytest.param({"extensions": {"persistedQuery": "x"}}, id="no object"),
    ],
)
async def test_a_wrong_persisted_query_is_refused(client, body):
    assert code(await posted(client, body)) == "BAD_USER_INPUT"


def test_registered_queries_are_bounded_and_the_least_asked_is_forgotten():
    trusted = TrustedDocuments()

    def body(number, *, query):
        return Request(**persisted(f"{{ a{number} }}", query=query))

    for number in range(MOST):
        trusted.text_of(body(number, query=True))
    trusted.text_of(body(0, query=False))

    trusted.text_of(body(MOST, query=True))

    assert trusted.text_of(body(0, query=False)) == "{ a0 }"
    with pytest.raises(Refused):
        trusted.text_of(body(1, query=False))


async def test_documents_of_the_manifest_are_asked_for_by_their_hash_over_every_transport(db, feed):
    app = an_app(db, feed, trusted=TrustedDocuments({hashed(ASKED): ASKED}))
    name = f"sha256:{hashed(ASKED)}"
    async with running(app) as address, graphql_ws(address) as socket, httpx2.AsyncClient(timeout=WAIT) as http:
        url = f"http://{address}/graphql"
        answers = [
            (await http.post(url, json={"documentId": name})).json(),
            (await http.get(url, params={"documentId": name})).json(),
            (await http.post(url, json=persisted(ASKED, query=False))).json(),
            (await http.post(url, json={"documentId": f"sha256:{'0' * 64}"})).json(),
        ]
        await socket.send(id="1", type="subscribe", payload={"documentId": name})
        event = await socket.event()

    assert [answer.get("data") for answer in answers] == [{"bot": None}] * 3 + [None]
    assert code(answers[3]) == "PERSISTED_QUERY_NOT_FOUND"
    assert event == {"bot": None}


async def test_only_trusted_documents_are_answered_where_so_it_is_set(db, feed):
    trusted = TrustedDocuments({f"sha256:{hashed(ASKED)}": ASKED}, only=True)
    async with Client(an_app(db, feed, trusted=trusted)) as client:
        whole = await client.post(ASKED)
        other = await client.http.post("/graphql", json={"query": "{ __typename }"})
        registering = await posted(client, persisted("{ __typename }"))

    assert whole["data"] == {"bot": None}
    assert (other.status_code, code(other.json()), code(registering)) == (403, "FORBIDDEN", "FORBIDDEN")


def test_a_manifest_with_a_wrong_hash_is_refused():
    with pytest.raises(ValueError, match="is not the SHA-256"):
        TrustedDocuments({"0" * 64: ASKED})
