"""Parameters of libpq in a database's URL: the driver knows some, and would take the others for settings of the server,
which refuses them."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote_plus

from repos.domain import InvalidValue, shown

CONNECT_SECONDS = 10.0
"""A connection that does not stand by then counts as failed, unless connect_timeout says otherwise."""

_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_BINDINGS = ("disable", "prefer", "require")
_TLS = ("require", "verify-ca", "verify-full")
_UNNEEDED = {
    # How long a connection may be dead unseen: statements and the feed have limits of their own.
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    # The driver's own way is what they are at their best.
    *("client_encoding", "fallback_application_name", "sslcompression", "sslsni", "load_balance_hosts"),
    *("min_protocol_version", "max_protocol_version", "gssdelegation"),
}
_COUNTS = {"connect_timeout", *(name for name in _UNNEEDED if name.startswith(("keepalives", "tcp_")))}
_DEMANDS = ("require_auth", "requirepeer", "sslcrldir", "sslcertmode", "requiressl")
"""To leave out what somebody demands for safety would be worse than to refuse it."""


def for_driver(name: str, query: str) -> str:
    """`query`, what follows the ? in a URL, with what the driver and repos.connecting understand.

    Raises:
        InvalidValue: A parameter has no value, a wrong one, or demands what the driver can't do. It carries `name`.
    """
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        given = None
    if given is None:  # not inside the handler: the error has the text, which may hold a password
        raise InvalidValue(name, "what follows the ? is not name=value, with & between several")
    for problem in _problems(given):
        raise InvalidValue(name, problem)
    dropped = _UNNEEDED | {"channel_binding", "gssencmode"}
    binds = given.get("channel_binding") == "require" and given.get("sslmode") not in _TLS
    if binds:
        dropped = dropped | {"sslmode"}
    kept = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in dropped]
    return "&".join(part for part in [*kept, "sslmode=require" if binds else ""] if part)


def _problems(given: dict[str, str]) -> Iterator[str]:
    for key in _COUNTS & given.keys():
        if not _WHOLE.fullmatch(given[key]):
            yield f"{key}: {shown(given[key])} is not a whole number"
    for key in _DEMANDS:
        if key in given:
            yield f"{key}: the driver can't do that; leave it out, or demand sslmode=verify-full"
    binding, encryption = given.get("channel_binding", "prefer"), given.get("gssencmode", "prefer")
    if binding not in _BINDINGS:
        yield f"channel_binding: {shown(binding)} is none of {', '.join(_BINDINGS)}"
    if binding == "require" and given.get("sslmode") == "disable":
        yield "channel_binding=require contradicts sslmode=disable: only TLS has a channel to bind"
    if encryption not in ("disable", "prefer"):
        yield f"gssencmode: {shown(encryption)} is neither disable nor prefer: the driver encrypts by TLS alone"


def unkept(url: str) -> str | None:
    """What a URL demands and does not get, in words for the log."""
    given = dict(parse_qsl(url.partition("?")[2]))
    if given.get("channel_binding") == "require" and given.get("sslmode") != "verify-full":
        return (
            "channel_binding=require is taken for sslmode=require: the driver binds no channels. "
            "To be sure of the server, say sslmode=verify-full with sslrootcert"
        )
    return None


def timeout_of(query: str) -> tuple[str, float]:
    """`query` without connect_timeout, and the seconds of that. None, zero and less than zero mean CONNECT_SECONDS."""
    given = dict(parse_qsl(query))
    kept = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "connect_timeout"]
    seconds = int(given.get("connect_timeout", 0))
    return "&".join(kept), float(seconds) if seconds > 0 else CONNECT_SECONDS
