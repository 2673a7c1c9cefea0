"""Who is asking: API keys and tokens, known in memory, and cut off everywhere within 5 s of their end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import Enum, auto
from time import monotonic
from typing import TYPE_CHECKING

import structlog
from starlette.types import Scope

from gql.caller import Caller
from gql.errors import UNAVAILABLE, Unauthenticated, refused
from gql.roles import Role
from repos.errors import DatabaseOperationError, DatabaseUnavailable
from repos.keys import PREFIX, KeyRepository, digest

if TYPE_CHECKING:
    from gql.tokens import Tokens

log = structlog.get_logger(__name__)

INTERVAL = 2.0
"""Seconds between two looks at the keys: with PATIENCE, a key counts for no 5 s after its end."""
PATIENCE = 1.0
"""Seconds that the database has for an answer."""
_PAUSE = 0.1
"""Seconds between two searches for keys that are not known. Whoever asks waits for one that began after it came: a new
key is good at once, whatever others try meanwhile, and they make the database work ten times a second at most."""
_LOGGED_EVERY = 1.0
"""Seconds between two warnings of refused credentials."""


class Anonymous(Enum):
    """Whether callers without a credential may do everything."""

    ALLOWED = auto()
    UNTIL_A_KEY = auto()
    """Until the first key is created; that it expires or is revoked lets nobody in again."""
    REFUSED = auto()


def asking(scope: Scope) -> tuple[str | None, str]:
    """The header Authorization of an ASGI scope, and the client's address."""
    client = scope.get("client")
    address: str = client[0] if client else ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return value.decode("latin-1"), address
    return None, address


class Access:
    """Tells who is asking. Without `keys` and `tokens` nobody has a credential."""

    def __init__(
        self,
        keys: KeyRepository | None = None,
        tokens: "Tokens | None" = None,
        anonymous: Anonymous = Anonymous.ALLOWED,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._ends_with_a_key = anonymous is Anonymous.UNTIL_A_KEY
        self._admits_anyone = anonymous is Anonymous.ALLOWED or (self._ends_with_a_key and tokens is None)
        self._callers: dict[bytes, Caller] = {}
        self._ids: set[int | None] = set()
        self._used: set[int | None] = set()
        self._anyone = Caller(Role.ADMIN, "anonymous")
        self._reading = asyncio.Lock()
        self._searched_at = float("-inf")
        self._is_current = True
        self._watched: dict[tuple[int | None, datetime | None, bytes | None], set[asyncio.Timeout]] = {}
        self.refusals = 0
        """Of credentials that were wrong."""
        self._warned_at = float("-inf")

    async def caller(self, credential: str | None, address: str) -> Caller:
        """Who asks with this value of a header Authorization. For a key that is known nothing is waited for.

        Raises:
            Unauthenticated: The credential is missing or wrong.
            Refused: The database could not tell.
        """
        if credential is None:
            if not self._admits_anyone:
                raise Unauthenticated("An API key or a token is wanted: Authorization: Bearer ...")
            if self._anyone.address != address:
                self._anyone = self._anyone._replace(address=address)
            return self._anyone
        try:
            scheme, _, secret = credential.strip().partition(" ")
            if scheme != "Bearer" and scheme.lower() != "bearer":
                message = "Authorization must be: Bearer, a space, and an API key or a token"
                raise Unauthenticated(message)  # noqa: TRY301 -- to call for it would take its time, each time
            sealed = digest(secret)
            known = self._callers.get(sealed)
            if known is None:
                known = await self._looked_up(secret, sealed)
        except Unauthenticated as refused:
            self._note_refusal(address, str(refused))
            raise
        self._used.add(known.key_id)
        # Mostly it is where it was last time, and one that is made takes as long as all else here.
        if known.address != address:
            known = known._replace(address=address)
            if sealed in self._callers:
                self._callers[sealed] = known
        return known

    def _note_refusal(self, address: str, reason: str) -> None:
        """Log it, and while there are many now and then one of them: `refusals` tells how many there were."""
        self.refusals += 1
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= _LOGGED_EVERY:
            self._warned_at = now
            log.warning("A credential was refused", address=address, reason=reason, refusals=self.refusals)

    async def _looked_up(self, secret: str, sealed: bytes) -> Caller:
        if secret.startswith(PREFIX):
            return await self._read_for(sealed)
        if self._tokens is None:
            raise Unauthenticated(f"This is no API key; those begin with {PREFIX}")
        return await self._tokens.caller(secret)

    async def _read_for(self, wanted: bytes) -> Caller:
        came = monotonic()
        async with self._reading:
            if wanted not in self._callers and self._searched_at <= came:
                await asyncio.sleep(max(self._searched_at + _PAUSE - monotonic(), 0))
                self._searched_at = monotonic()
                with suppress(DatabaseOperationError):
                    await self._load(PATIENCE)
        known = self._callers.get(wanted)
        if known is None and not self._is_current:
            raise refused(UNAVAILABLE, "The database can't be reached; try again later")
        if known is None:
            raise Unauthenticated("This API key is unknown, expired or revoked")
        return known

    @asynccontextmanager
    async def while_valid(self, caller: Caller) -> AsyncIterator[None]:
        """A block that ends, wherever it waits, when what its caller came with no longer counts.

        Raises:
            Unauthenticated: That happened.
        """
        credential = caller.key_id, caller.expires_at, caller.signed_with
        limits = self._watched.setdefault(credential, set())
        limit = asyncio.timeout(None)
        try:
            async with limit:
                limits.add(limit)
                if not self._counts(*credential):
                    limit.reschedule(0)
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Unauthenticated("What you came with has expired or was revoked") from error
        finally:
            limits.discard(limit)
            if not limits and self._watched.get(credential) is limits:
                del self._watched[credential]

    async def read(self) -> None:
        """Learn which keys are live, now.

        Raises:
            DatabaseOperationError: The database failed; what was known still counts.
        """
        async with self._reading:
            await self._load(None)

    async def _load(self, patience: float | None) -> None:
        """As read(), within that many seconds, for who holds the lock."""
        if self._keys is None:
            return
        self._is_current = False
        try:
            async with asyncio.timeout(patience):
                live = await self._keys.live()
                if self._ends_with_a_key and (live or await self._keys.exist()):
                    self._admits_anyone = self._ends_with_a_key = False
        except TimeoutError as error:
            raise DatabaseUnavailable("reading live keys: no answer in time") from error
        self._is_current = True
        self._callers = {
            secret: Caller(Role(key.role), key.name, key.id, key.expires_at) for secret, key in live.items()
        }
        self._ids = {key.id for key in live.values()}

    async def run(self) -> None:
        """Follow what becomes of keys and tokens, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            if self._tokens is not None:
                tasks.create_task(self._tokens.run())

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                async with self._reading:
                    await self._load(PATIENCE)
            except DatabaseOperationError as error:
                log.warning("Keys could not be read; those known still count", reason=str(error))
            self._cut_off()
            await self._note_use()

    async def _note_use(self) -> None:
        """Tell the database which keys were used, or hold a connection open."""
        used = {key_id for key_id in self._used.union(key_id for key_id, *_ in self._watched) if key_id is not None}
        self._used.clear()
        if used and self._keys is not None:
            with suppress(DatabaseOperationError, TimeoutError):  # reading says so, and others will use them
                async with asyncio.timeout(PATIENCE):
                    await self._keys.used(used)

    def _cut_off(self) -> None:
        now = datetime.now(UTC)  # the database may not have answered for a while
        self._callers = {
            secret: caller
            for secret, caller in self._callers.items()
            if caller.expires_at is None or caller.expires_at > now
        }
        for credential in [credential for credential in self._watched if not self._counts(*credential)]:
            for limit in self._watched.pop(credential):
                limit.reschedule(0)

    def _counts(self, key_id: int | None, expires_at: datetime | None, signed_with: bytes | None) -> bool:
        if expires_at is not None and expires_at <= datetime.now(UTC):
            return False
        if signed_with is not None:
            return self._tokens is not None and self._tokens.trusts(signed_with)
        return key_id in self._ids if key_id is not None else self._admits_anyone
