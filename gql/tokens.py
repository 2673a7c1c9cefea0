"""JSON web tokens (RFC 7519), verified against the public keys of whoever issues them (a JWK set, RFC 7517)."""

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gql.caller import Caller
from gql.errors import Unauthenticated
from gql.roles import Role
from repos.keys import digest
from repos.proxies import is_loopback, proxy_for

log = structlog.get_logger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a private and a public key: whoever can verify a token here must not be able to make one."""
LEEWAY = timedelta(seconds=2)
"""That clocks may differ by."""
REREAD = 600.0
"""Seconds between two readings of the keys: a key that its issuer took back counts for no longer, also where it holds a
connection open."""
PAUSE = 60.0
"""Seconds between two readings because of tokens whose key is not known."""
_PATIENCE = 5.0
_MOST = 4_096
"""Verified tokens that are remembered; verifying one takes some 50 to 150 us."""
_LONGEST = 8_192


class NoKeys(Exception):
    """The JWK set could not be read; the text says where and why, and tells nothing of a password in its URL."""


class Tokens:
    """The tokens of one issuer."""

    def __init__(self, issuer: str, audience: str, jwks: str, role_claim: str = "role") -> None:
        """`jwks` is the URL or the path of the JWK set; the claim `role_claim` holds the name of a role."""
        self._issuer = issuer
        self._audience = audience
        self._jwks = jwks
        self._role_claim = role_claim
        self._keys: list[jwt.PyJWK] = []
        self._trusted: set[bytes] = set()
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._verified: OrderedDict[bytes, Caller] = OrderedDict()

    @property
    def _place(self) -> str:
        """The URL or the path, without what may be a secret."""
        if not self.is_remote:
            return self._jwks.rpartition("@")[2]
        parts = urlsplit(self._jwks)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def is_remote(self) -> bool:
        """Whether the JWK set is at a URL."""
        return self._jwks.startswith(("https://", "http://"))

    async def caller(self, token: str) -> Caller:
        """Whose token it is.

        Raises:
            Unauthenticated: It is not valid, or names no role.
        """
        seal = digest(token)
        known = self._verified.get(seal)
        if known is None:
            known = await self._read_from(token)
            self._verified[seal] = known
            if len(self._verified) > _MOST:
                self._verified.popitem(last=False)
        if known.expires_at is None or known.expires_at <= datetime.now(UTC):
            raise Unauthenticated("The token has expired")
        return known

    async def read(self) -> None:
        """Read the JWK set; tokens that were verified by an older one are forgotten.

        Raises:
            NoKeys: That failed; the keys that were known still count.
        """
        self._read_at = asyncio.get_running_loop().time()
        try:
            parsed = orjson.loads(await self._fetched())
            keys = jwt.PyJWKSet(parsed["keys"]).keys
        except httpx2.HTTPStatusError as error:  # whose text has the whole URL, with a password in it
            raise NoKeys(f"{self._place}: {error.response.status_code} {error.response.reason_phrase}") from error
        except OSError as error:  # whose text has the path
            raise NoKeys(f"{self._place}: {error.strerror or type(error).__name__}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            raise NoKeys(f"{self._place}: {str(error) or type(error).__name__}") from error
        self._keys = [key for key in keys if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig")]
        self._trusted = {_seal(key) for key in self._keys}
        self._verified.clear()

    def trusts(self, signed_with: bytes) -> bool:
        """Whether a caller's key is still one of the issuer's, by the last reading."""
        return signed_with in self._trusted

    async def run(self) -> None:
        """Read the JWK set again and again, until cancelled."""
        while True:
            await asyncio.sleep(REREAD if self._keys else PAUSE)
            try:
                await self.read()
            except NoKeys as error:
                log.warning("The keys of tokens could not be read; those known still count", reason=str(error))

    async def _fetched(self) -> bytes:
        if not self.is_remote:
            return await asyncio.to_thread(Path(self._jwks).read_bytes)
        proxy, outside = proxy_for(self._jwks), not is_loopback(self._jwks)
        async with httpx2.AsyncClient(timeout=_PATIENCE, proxy=proxy, trust_env=outside) as http:
            return (await http.get(self._jwks)).raise_for_status().content

    async def _read_from(self, token: str) -> Caller:
        if len(token) > _LONGEST:
            raise Unauthenticated("The token is too long")
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
            end = datetime.fromtimestamp(int(claims["exp"]), UTC) + LEEWAY
        except (jwt.PyJWTError, ValueError, OverflowError, OSError) as error:
            raise Unauthenticated(f"The token is not valid: {error}") from error
        role = claims.get(self._role_claim)
        if not isinstance(role, str) or role not in list(Role):
            raise Unauthenticated(f"The token's claim {self._role_claim} is none of {', '.join(Role)}")
        return Caller(Role(role), str(claims.get("sub", "")), expires_at=end, signed_with=_seal(key))

    async def _key(self, kid: object) -> jwt.PyJWK:
        """The key of that id; without an id the only one."""
        found = self._found(kid)
        if not found:
            async with self._reading:
                if asyncio.get_running_loop().time() - self._read_at >= PAUSE and not self._found(kid):
                    try:
                        await self.read()
                    except NoKeys as error:
                        log.warning("The keys of tokens could not be read", reason=str(error))
            found = self._found(kid)
        if len(found) != 1:
            raise Unauthenticated("The token's key is not known")
        return found[0]

    def _found(self, kid: object) -> list[jwt.PyJWK]:
        return self._keys if kid is None else [key for key in self._keys if key.key_id == kid]


def _seal(key: jwt.PyJWK) -> bytes:
    """Tells the key itself, for an issuer may give a new one the old one's id."""
    return sha256(key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
