"""Which database is meant, out of the variables of an environment."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from repos.domain import InvalidValue

_VARIABLES = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")

# Parameters of libpq that the driver would take for settings of the server, which refuses them. It binds no channels,
# encrypts by no GSS, and has a timeout of ours.
_LIBPQ_ALONE = {
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "fallback_application_name",
    "sslcompression",
    "sslsni",
}


def database_url(environ: Mapping[str, str]) -> str | None:
    """DATABASE_URL, else a URL of the POSTGRES_* variables, else None: the embedded database. Empty counts as unset.

    Of the POSTGRES_* any one is enough; the others are localhost, 5432, postgres, no password, and the user's name.
    POSTGRES_HOST may be the folder of a Unix socket.
    """
    if url := environ.get("DATABASE_URL"):
        return url
    host, port, user, password, name = (environ.get(variable, "") for variable in _VARIABLES)
    if not (host or port or user or password or name):
        return None
    user = user or "postgres"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    # As a parameter: between @ and / there is no room for a path.
    place = urlencode({"host": host or "localhost", "port": port or "5432"})
    secret = f":{quote(password, safe='')}" if password else ""
    return f"postgresql://{quote(user, safe='')}{secret}@/{quote(name or user, safe='')}?{place}"


def driver_url(url: str) -> str:
    """`url` (postgresql://, postgres:// or postgresql+asyncpg://) for asyncpg, which reads libpq's parameters.

    Raises:
        InvalidValue: It is of another kind.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise InvalidValue(
            "DATABASE_URL", "it must begin with postgresql://, as in postgresql://user@host:5432/database"
        )
    place, mark, query = rest.partition("?")
    kept = "&".join(part for part in query.split("&") if part.partition("=")[0] not in _LIBPQ_ALONE)
    return f"postgresql://{place}{mark if kept else ''}{kept}"


def wants_sql_logged(environ: Mapping[str, str]) -> bool:
    """Whether DEBUG asks for all SQL in the log."""
    return environ.get("DEBUG", "").strip().lower() in ("1", "true", "yes", "on")
