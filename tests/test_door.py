"""What is let in, from a browser's point of view and from others'; a real server where a socket matters."""

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from bench.swarm import HANDSHAKE
from gql.door import Door
from gql.limits import Limits
from gql.proxies import Proxies
from tests.gql_server import Client, an_app, graphql_ws, running, said_to

pytestmark = pytest.mark.anyio

ASK = {"query": "{ __typename }"}
EVIL = "https://evil.example"
DASHBOARD = "https://dashboard.example.org"
MUTATION = 'mutation { deleteBot(id: "1") { deleted } }'


@pytest.fixture
async def browser(db, feed):
    """Talks to a server that lets in one other origin."""
    async with Client(an_app(db, feed, door=Door(origins=[DASHBOARD]))) as client:
        yield client.http


async def a_client(db, feed, **door):
    return Client(an_app(db, feed, door=Door(**door)))


def told(response) -> tuple[int, str]:
    """Its status and the code of its only error."""
    [error] = response.json()["errors"]
    return response.status_code, error["extensions"]["code"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "localhost."])
async def test_a_server_on_loopback_answers_by_its_loopback_names(browser, host):
    assert (await browser.post("/graphql", json=ASK, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "",
        "127.0.0.1.evil",
        "::1",
        "[::1].evil.example",
        "[::1]evil",
        "[::1]:evil",
        "[::1",
        "127.0.0.1:evil",
        "localhost:80.evil.example",
        "localhost:80:80",
        "localhost:80@evil.example",
        "localhost/",
        "localhost..",
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/metrics", "/nothing"])
async def test_a_foreign_name_that_points_here_is_misdirected(browser, host, path):
    assert told(await browser.get(path, headers={"Host": host})) == (421, "BAD_USER_INPUT")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_may_ask_by_whatever_address_a_replica_has_and_open_no_door_for_others(browser, path):
    host = {"Host": "10.1.2.3:8000"}

    assert (await browser.get(path, headers=host)).status_code == 200
    assert (await browser.post("/graphql", json=ASK, headers=host)).status_code == 421


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ("example.org", "example.org", 200),
        ("example.org", "api.example.org", 421),
        (".example.org", "example.org", 200),
        (".example.org", "a.b.Example.org:443", 200),
        (".example.org", "badexample.org", 421),
        ("*", "whatever", 200),
    ],
)
async def test_hosts_are_allowed_by_name_by_domain_or_all(db, feed, allowed, host, status):
    async with await a_client(db, feed, hosts=[allowed]) as client:
        response = await client.http.post("/graphql", json=ASK, headers={"Host": host})

    assert response.status_code == status


async def test_two_hosts_in_one_request_are_refused(browser):
    headers = [("Host", "localhost"), ("Host", "evil.example")]

    assert told(await browser.get("/healthz", headers=headers)) == (400, "BAD_USER_INPUT")


async def test_a_page_of_another_origin_may_neither_ask_nor_look(browser):
    refused = await browser.post("/graphql", json=ASK, headers={"Origin": EVIL})
    preflight = await browser.options("/graphql", headers={"Origin": EVIL, "Access-Control-Request-Method": "POST"})

    assert told(refused) == told(preflight) == (403, "FORBIDDEN")
    assert not [name for name in (*refused.headers, *preflight.headers) if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin", ["null", "file://", "http://localhost.evil.example", "http://localhost:8001", "localhost"]
)
async def test_what_only_looks_like_the_own_origin_is_refused(browser, origin):
    assert told(await browser.post("/graphql", json=ASK, headers={"Origin": origin})) == (403, "FORBIDDEN")


async def test_the_own_page_and_programs_need_no_list(browser):
    own = await browser.post("/graphql", json=ASK, headers={"Origin": "http://localhost"})
    program = await browser.post("/graphql", json=ASK)

    assert own.status_code == program.status_code == 200


async def test_a_page_of_an_allowed_origin_may_ask_and_look(browser):
    asked = "authorization,content-type,apollographql-client-name,traceparent"
    headers = {
        "Origin": DASHBOARD,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    preflight = await browser.options("/graphql", headers=headers)
    answer = await browser.post("/graphql", json=ASK, headers={"Origin": DASHBOARD})

    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-headers"] == asked
    assert preflight.headers["access-control-max-age"] == "600"
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == DASHBOARD
        assert response.headers.get_list("vary")[0] == "Origin"
    assert preflight.headers.get_list("vary")[1:] == ["Access-Control-Request-Headers"]
    assert answer.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/x-www-form-urlencoded", b"query=%7B__typename%7D"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\n{ __typename }\r\n--x--',
        ),
        ("text/plain", b'{"query":"{ __typename }"}'),
        (None, b'{"query":"{ __typename }"}'),
    ],
)
async def test_a_form_can_not_ask_because_browsers_send_forms_without_asking(browser, media, body):
    response = await browser.post("/graphql", content=body, headers={"Content-Type": media} if media else {})

    assert response.status_code in (400, 415)
    assert "data" not in response.json()


async def test_a_link_can_not_change_anything(browser, db):
    bot = await db.bots.add({"name": "x", "strategy_name": "x", "symbol": "BTC-USDT", "timeframe": "1m"})

    response = await browser.get("/graphql", params={"query": MUTATION.replace('"1"', f'"{bot.id}"')})

    assert response.status_code >= 400
    assert await db.bots.get_by_id(bot.id) is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_an_image_on_a_foreign_page_spends_nothing_of_its_visitors_points(browser, site):
    image = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Accept": "image/*,*/*"}

    async def left() -> int:
        answer = await browser.post("/graphql", json=ASK)
        return answer.json()["extensions"]["cost"]["remaining"]

    one = await left()
    cost = one - await left()
    refused = await browser.get("/graphql", params={"query": "{ stats { candleCount } }"}, headers=image)

    assert told(refused) == (403, "FORBIDDEN")
    assert await left() == one - 2 * cost


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": DASHBOARD},
    ],
)
async def test_programs_the_own_page_and_allowed_origins_may_ask_by_get(browser, headers):
    answer = await browser.get("/graphql", params=ASK, headers=headers)

    assert answer.json()["data"] == {"__typename": "Query"}


async def test_a_link_on_a_foreign_page_opens_graphiql_which_runs_nothing(browser):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html,*/*;q=0.8"}
    page = await browser.get("/graphql", params=ASK, headers=headers)

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "request_", [("POST", "/graphql"), ("GET", "/graphql"), ("GET", "/healthz"), ("GET", "/nothing")]
)
async def test_every_answer_has_the_headers_that_keep_it_private(browser, request_):
    method, path = request_
    response = await browser.request(method, path, json=ASK)

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_be_as_long_as_the_limit_and_no_longer(db, feed, chunked):
    app = an_app(db, feed, door=Door(limits=Limits(body_bytes=100)))
    fits, exceeds = (b'{"query":"{ __typename }"}'.ljust(size) for size in (100, 101))

    async def chunks(body):
        yield body[:60]
        yield body[60:]

    async with running(app) as address, httpx2.AsyncClient(base_url=f"http://{address}") as client:
        answers = [
            await client.post(
                "/graphql", content=chunks(body) if chunked else body, headers={"Content-Type": "application/json"}
            )
            for body in (fits, exceeds)
        ]

    assert answers[0].json()["data"] == {"__typename": "Query"}
    assert told(answers[1]) == (413, "BAD_USER_INPUT")
    assert answers[1].headers["connection"] == "close"
    assert answers[1].headers.get_list("x-content-type-options") == ["nosniff"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_client_that_sends_far_too_much_reads_why_and_so_may_a_page_of_an_allowed_origin(db, feed, chunked):
    app = an_app(db, feed, door=Door(origins=[DASHBOARD], limits=Limits(body_bytes=1_000)))
    size = 20_000_000
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nOrigin: {DASHBOARD}\r\n{length}\r\n\r\n".encode()
    body = b" " * size
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)

    async with running(app, limits=Limits(body_bytes=1_000)) as address:
        answer = await said_to(address, head, body)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"access-control-allow-origin: " + DASHBOARD.encode() in answer
    assert b"longer than 1,000 bytes" in answer


def replaced(head: bytes, header: str) -> bytes:
    """`head` with this header instead of one of that name."""
    name = header.partition(":")[0].encode()
    others = [line for line in head.removesuffix(b"\r\n\r\n").split(b"\r\n") if not line.startswith(name + b":")]
    return b"\r\n".join([*others, header.encode(), b"", b""])


@pytest.mark.parametrize(("header", "status"), [(f"Origin: {EVIL}", 403), ("Host: evil.example", 421)])
async def test_a_websocket_is_refused_before_its_handshake_and_nothing_is_logged(db, feed, header, status, caplog):
    async with running(an_app(db, feed)) as address:
        answer = await said_to(address, replaced(HANDSHAKE % b"/graphql", header))

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_a_page_of_an_allowed_origin_may_open_a_websocket(db, feed):
    app = an_app(db, feed, door=Door(origins=[DASHBOARD]))
    async with running(app) as address, graphql_ws(address, origin=DASHBOARD) as client:
        await client.send(type="ping")

        assert await client.receive() == {"type": "pong"}


async def test_an_address_has_a_bounded_number_of_websockets(db, feed):
    app = an_app(db, feed, door=Door(limits=Limits(sockets=2)))
    async with running(app) as address:
        async with graphql_ws(address), graphql_ws(address):
            with pytest.raises(InvalidStatus) as refused:
                async with graphql_ws(address):
                    pass
        assert refused.value.response.status_code == 429

        async with graphql_ws(address):
            pass


PROXY = "10.1.2.3"
CLIENT = "198.51.100.1"


def x_forwarded_for(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", value.encode()) for value in values]


def forwarded(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"forwarded", value.encode())]


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        pytest.param("192.0.2.9", x_forwarded_for(CLIENT), "192.0.2.9", id="told by no proxy"),
        pytest.param(PROXY, x_forwarded_for(CLIENT), CLIENT, id="told by a proxy"),
        pytest.param(PROXY, x_forwarded_for(f"6.6.6.6, {CLIENT}, 10.9.9.9"), CLIENT, id="the last but proxies"),
        pytest.param(PROXY, x_forwarded_for("6.6.6.6", CLIENT), CLIENT, id="in two headers"),
        pytest.param(PROXY, x_forwarded_for(f"{CLIENT}:4711"), CLIENT, id="with a port"),
        pytest.param(PROXY, x_forwarded_for("6.6.6.6, unknown"), PROXY, id="nothing is believed beyond nonsense"),
        pytest.param(PROXY, x_forwarded_for(""), PROXY, id="empty"),
        pytest.param(PROXY, x_forwarded_for("[2001:db8::1]"), "2001:db8::1", id="in brackets"),
        pytest.param(PROXY, x_forwarded_for("2001:db8::1"), "2001:db8::1", id="IPv6 without brackets"),
        pytest.param(PROXY, x_forwarded_for("[::1]evil"), PROXY, id="more after brackets"),
        pytest.param(PROXY, x_forwarded_for("[::1"), PROXY, id="half of a pair of brackets"),
        pytest.param(PROXY, x_forwarded_for("127.0.0.1:evil"), PROXY, id="a port that is no number"),
        pytest.param(PROXY, x_forwarded_for("[127.0.0.1]:1:2"), PROXY, id="two ports"),
        pytest.param(PROXY, forwarded('for="[::1].evil.example"'), PROXY, id="a name that begins as an address"),
        pytest.param(PROXY, forwarded('for=6.6.6.6, For="[2001:db8::1]:47";proto=https'), "2001:db8::1", id="RFC 7239"),
        pytest.param(PROXY, x_forwarded_for(CLIENT) + forwarded("for=6.6.6.6"), PROXY, id="of two stories neither"),
        pytest.param(PROXY, [], PROXY, id="nothing told"),
    ],
)
def test_a_client_behind_proxies_is_the_last_address_that_is_no_proxy(peer, headers, client):
    scope = {"type": "http", "path": "/", "client": (peer, 1), "headers": [(b"host", b"localhost"), *headers]}

    Door(proxies=Proxies(["10.0.0.0/8"])).enter(scope)

    assert scope["client"][0] == client
