"""Who may use a server: what its settings, its keys and the address it is bound to say together."""

from ipaddress import ip_address
from typing import TYPE_CHECKING

import structlog

from candleql.errors import UserError
from candleql.settings import Settings
from gql.auth import Access, Anonymous
from repos.keys import KeyRepository

if TYPE_CHECKING:
    from gql.tokens import Tokens

log = structlog.get_logger(__name__)


async def access_to(keys: KeyRepository, settings: Settings, host: str, insecure: bool) -> Access:
    """Who is let in at the address `host`; `insecure` lets in everybody. To be run by the caller.

    Raises:
        UserError: Nobody could be told from anybody else, or a setting is wrong.
        DatabaseOperationError: The keys could not be read.
    """
    tokens = await _tokens(settings)
    is_loopback = ip_address(host).is_loopback
    if insecure:
        if not is_loopback:
            log.warning("Everybody who reaches this server may do everything", host=host)
        anonymous = Anonymous.ALLOWED
    elif is_loopback and tokens is None:
        anonymous = Anonymous.UNTIL_A_KEY
    else:
        anonymous = Anonymous.REFUSED
    if anonymous is Anonymous.REFUSED and tokens is None and not await keys.exist():
        raise UserError(
            f"{host} can be reached from elsewhere, and anyone could do everything: create a key first (candleql keys "
            f"create NAME --role admin), or set JWT_JWKS, or bind to 127.0.0.1, or mean it: --insecure"
        )
    access = Access(keys, tokens, anonymous)
    await access.read()
    return access


async def _tokens(settings: Settings) -> "Tokens | None":
    issuer, audience, jwks = settings.jwt_issuer, settings.jwt_audience, settings.jwt_jwks
    if not (issuer and audience and jwks):  # all or none, as the settings were checked
        return None

    from gql.tokens import NoKeys, Tokens  # with cryptography, which takes its time

    tokens = Tokens(issuer, audience, jwks, settings.jwt_role_claim)
    try:
        await tokens.read()
    except NoKeys as error:
        if not tokens.is_remote:
            raise UserError(f"JWT_JWKS: {error}") from error
        # An issuer that is away must not keep a server from starting.
        log.warning("The keys of tokens could not be read; trying again every minute", reason=str(error))
    return tokens
