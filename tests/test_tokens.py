"""JSON web tokens: keys made here, an issuer on loopback."""

import asyncio
import hmac
import json
import time
from contextlib import asynccontextmanager

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from gql import auth, tokens
from gql.auth import Access, Anonymous
from gql.errors import Unauthenticated
from gql.roles import Role
from gql.tokens import NoKeys, Tokens
from tests.gql_server import an_app, graphql_ws, running
from tests.test_auth import CREATE, QUERY, a_client, following, status_and_codes, until
from tests.test_gql_live import CANDLES

pytestmark = pytest.mark.anyio

ISSUER, AUDIENCE = "https://login.example.org/", "candleql"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
STRANGER = rsa.generate_private_key(65537, 2048)
SECRET = b"s" * 64


def a_jwk(algorithm, key, kid, **more):
    return algorithm.to_jwk(key, as_dict=True) | {"kid": kid, "use": "sig"} | more


def a_set(*more):
    return [
        a_jwk(RSAAlgorithm, RSA.public_key(), "rsa", alg="RS256"),
        a_jwk(ECAlgorithm, EC.public_key(), "ec"),
        a_jwk(OKPAlgorithm, ED.public_key(), "ed"),
        a_jwk(HMACAlgorithm, SECRET, "shared"),
        a_jwk(RSAAlgorithm, STRANGER.public_key(), "encryption", use="enc"),
        *more,
    ]


def a_token(key=RSA, algorithm="RS256", kid="rsa", **changes):
    """A token of a trader that is good for a minute, with these changes of its claims; None leaves one out."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 60, "role": "trader"} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={} if kid is None else {"kid": kid})


@pytest.fixture
def jwks(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": a_set()}))
    return path


@pytest.fixture
async def verifying(jwks):
    made = Tokens(ISSUER, AUDIENCE, str(jwks))
    await made.read()
    return made


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA, "RS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")],
    ids=["RS256", "ES256", "EdDSA"],
)
async def test_a_token_signed_by_its_issuer_tells_who_asks(verifying, key, algorithm, kid):
    caller = await verifying.caller(a_token(key, algorithm, kid))

    assert (caller.role, caller.name, caller.key_id) == (Role.TRADER, "ada", None)
    assert caller.expires_at is not None


def forged(secret):
    """A token whose issuer's public key was taken for a shared secret, which the library would not make."""
    _, claims, _ = a_token().split(".")
    signed = base64url_encode(b'{"alg":"HS256","typ":"JWT","kid":"rsa"}') + b"." + claims.encode()
    return (signed + b"." + base64url_encode(hmac.digest(secret, signed, "sha256"))).decode()


PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("token", "told"),
    [
        pytest.param(lambda: a_token(iss="https://else.example.org/"), "Invalid issuer", id="another issuer"),
        pytest.param(lambda: a_token(iss=None), 'missing the "iss"', id="no issuer"),
        pytest.param(lambda: a_token(aud="other"), "Audience doesn't match", id="another audience"),
        pytest.param(lambda: a_token(aud=None), 'missing the "aud"', id="no audience"),
        pytest.param(lambda: a_token(exp=int(time.time()) - 3), "expired", id="expired"),
        pytest.param(lambda: a_token(exp=None), 'missing the "exp"', id="without an end"),
        pytest.param(lambda: a_token(exp=10**30), "not valid", id="an end beyond all years"),
        pytest.param(lambda: a_token(nbf=int(time.time()) + 60), "not yet valid", id="not yet"),
        pytest.param(lambda: a_token(role=None), "claim role is none of", id="no role"),
        pytest.param(lambda: a_token(role="boss"), "claim role is none of", id="an unknown role"),
        pytest.param(lambda: a_token(role=["admin"]), "claim role is none of", id="roles"),
        pytest.param(lambda: a_token(STRANGER), "Signature verification failed", id="another's signature"),
        pytest.param(lambda: a_token(STRANGER, kid="encryption"), "key is not known", id="a key for encryption"),
        pytest.param(lambda: a_token(kid="other"), "key is not known", id="an unknown key"),
        pytest.param(lambda: a_token(kid=None), "key is not known", id="no key, of several"),
        pytest.param(lambda: a_token(RSA, "RS512"), "does not match", id="another algorithm than the key's"),
        pytest.param(lambda: a_token(SECRET, "HS256", "shared"), "key is not known", id="a shared secret"),
        pytest.param(lambda: forged(PUBLIC), "alg value is not allowed", id="the public key as a secret"),
        pytest.param(lambda: a_token(None, "none"), "alg value is not allowed", id="no signature"),
        pytest.param(lambda: a_token(sub="a" * 9_000), "too long", id="too long"),
        pytest.param(lambda: a_token()[:-4] + "AAAA", "Signature verification failed", id="a changed signature"),
        pytest.param(lambda: "x.y.z", "not valid", id="no token"),
        pytest.param(lambda: "\ud800.\ud800.", "not valid", id="no text"),
    ],
)
async def test_any_other_is_refused(verifying, token, told):
    with pytest.raises(Unauthenticated, match=told):
        await verifying.caller(token())


async def test_a_verified_token_ends_all_the_same(verifying):
    token = a_token(exp=int(time.time()))  # within what clocks may differ by

    first = await verifying.caller(token)
    while True:
        try:
            await verifying.caller(token)
        except Unauthenticated as error:
            refused = error
            break
        await asyncio.sleep(0.01)

    assert first.role is Role.TRADER
    assert str(refused) == "The token has expired"


async def test_the_claim_with_the_role_may_have_another_name(jwks):
    made = Tokens(ISSUER, AUDIENCE, str(jwks), "https://example.org/role")

    caller = await made.caller(a_token(**{"https://example.org/role": "admin"}))

    assert caller.role is Role.ADMIN


@asynccontextmanager
async def an_issuer(keys):
    """The URL of a JWK set, which is `keys` when it is asked for, and how often it was."""
    asked = []

    async def answer(_):
        asked.append(1)
        return JSONResponse({"keys": keys}, 200 if keys else 500)

    async with running(Starlette(routes=[Route("/jwks", answer)])) as address:
        yield f"http://{address}/jwks", asked


async def test_keys_come_from_a_url_and_new_ones_are_fetched_when_a_token_needs_them_but_not_often(monkeypatch):
    keys = a_set()
    async with an_issuer(keys) as (url, asked):
        made = Tokens(ISSUER, AUDIENCE, url)
        await made.caller(a_token())
        with pytest.raises(Unauthenticated):
            await made.caller(a_token(STRANGER, kid="new"))
        keys.append(a_jwk(RSAAlgorithm, STRANGER.public_key(), "new"))
        monkeypatch.setattr(tokens, "PAUSE", 0.0)

        caller = await made.caller(a_token(STRANGER, kid="new"))
        monkeypatch.setattr(tokens, "PAUSE", 60.0)
        tried = await asyncio.gather(*(made.caller(a_token(kid=str(n))) for n in range(20)), return_exceptions=True)

    assert caller.name == "ada"
    assert {type(error) for error in tried} == {Unauthenticated}
    assert len(asked) == 2


async def test_a_key_that_its_issuer_takes_back_counts_no_more_after_the_next_reading(monkeypatch):
    monkeypatch.setattr(tokens, "REREAD", 0.01)
    keys, token = a_set(), a_token()

    async with an_issuer(keys) as (url, _):
        made = Tokens(ISSUER, AUDIENCE, url)
        await made.read()
        before = await made.caller(token)
        async with following(Access(tokens=made)):
            del keys[0]

            async def refused():
                try:
                    await made.caller(token)
                except Unauthenticated:
                    return True
                return False

            await until(refused)

    assert before.name == "ada"


@pytest.mark.parametrize("kid", ["rsa", "another"], ids=["a new key of its name", "a key of another name"])
async def test_what_is_open_with_a_token_ends_when_its_issuer_takes_the_key_back(db, feed, monkeypatch, kid):
    monkeypatch.setattr(tokens, "REREAD", 0.01)
    monkeypatch.setattr(auth, "INTERVAL", 0.01)
    keys = a_set()
    async with an_issuer(keys) as (url, _):
        made = Tokens(ISSUER, AUDIENCE, url)
        await made.read()
        async with (
            following(Access(tokens=made)) as access,
            running(an_app(db, feed, access=access)) as address,
            graphql_ws(address, {"Authorization": f"Bearer {a_token()}"}) as taken_back,
            graphql_ws(address, {"Authorization": f"Bearer {a_token(ED, 'EdDSA', 'ed')}"}) as kept,
        ):
            await taken_back.subscribe(CANDLES, snapshot=0)
            keys[0] = a_jwk(RSAAlgorithm, STRANGER.public_key(), kid)
            message, closed = await taken_back.receive(), await taken_back.closed()
            await kept.subscribe(QUERY)
            await kept.event()

    assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert closed == 4403


async def test_an_issuer_that_is_away_leaves_what_was_known(monkeypatch):
    keys = a_set()
    async with an_issuer(keys) as (url, _):
        made = Tokens(ISSUER, AUDIENCE, url)
        await made.read()
        keys.clear()
        with pytest.raises(NoKeys, match="500"):
            await made.read()
        monkeypatch.setattr(tokens, "PAUSE", 0.0)
        with pytest.raises(Unauthenticated):
            await made.caller(a_token(kid="other"))
    with pytest.raises(NoKeys, match="/jwks: "):
        await made.read()

    assert (await made.caller(a_token())).name == "ada"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": []}', '{"keys": 1}', '{"keys": [{"kty": "x"}]}', "null"])
async def test_what_is_no_jwk_set_is_told(tmp_path, text):
    path = tmp_path / "jwks.json"
    path.write_text(text)

    with pytest.raises(NoKeys, match=r"jwks\.json: "):
        await Tokens(ISSUER, AUDIENCE, str(path)).read()


async def test_tokens_open_the_server_and_their_end_closes_sockets(db, feed, verifying, monkeypatch):
    monkeypatch.setattr(auth, "INTERVAL", 0.01)
    ending = f"Bearer {a_token(role='viewer', exp=int(time.time()))}"
    async with following(Access(db.keys, verifying, Anonymous.UNTIL_A_KEY)) as access:
        app = an_app(db, feed, access=access)
        async with (
            running(app) as address,
            a_client(app, f"Bearer {a_token()}") as client,
            a_client(app, None) as nobody,
        ):
            async with graphql_ws(address, {"Authorization": ending}) as socket:
                await socket.subscribe(CANDLES, snapshot=0)
                message, closed = await socket.receive(), await socket.closed()
            answered = [
                await status_and_codes(client, QUERY),
                await status_and_codes(client, CREATE),
                await status_and_codes(nobody, QUERY),
            ]

    assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "UNAUTHENTICATED")
    assert closed == 4403
    assert answered == [(200, []), (200, []), (401, ["UNAUTHENTICATED"])]
