"""Which database is meant, out of the variables of an environment."""

import getpass
import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import structlog
from dotenv import dotenv_values

from repos.domain import InvalidValue
from repos.libpq import for_driver

ENV_FILE = ".env"
"""In the folder that the process was started in. The command line and Python read it alike."""
ENV_ENCODING = "utf-8-sig"  # some editors begin a file with a mark

POOL_SIZE, MOST_CONNECTIONS = 10, 1_000

_VARIABLES = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")

READ_HERE = ("DATABASE_URL", "DATABASE_LISTEN_URL", "DATABASE_POOL_SIZE", "DEBUG", *_VARIABLES)
"""What a Python program is told by the environment."""
_NEAR = 0.85
"""How alike two names are of which one is taken for a misspelling of the other: DATABASE_URL_TEST is not."""

_PORT_DIGITS, _LAST_PORT = 5, 65_535
_ESCAPED = "@ : / ? # are written %40 %3A %2F %3F %23"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:\s]*)(:(?P<port>[^:]*))?")


def environment() -> dict[str, str]:
    """The variables of this process over those of ENV_FILE, if there is one. Names are in upper case.

    Raises:
        InvalidValue: The file can't be read, or is not in UTF-8.
    """
    try:
        file = dotenv_values(ENV_FILE, encoding=ENV_ENCODING)
    except OSError as error:
        raise InvalidValue(ENV_FILE, f"it can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(ENV_FILE, f"not UTF-8: {error.reason} at byte {error.start}") from error
    merged = {name.upper(): value for name, value in file.items() if value is not None}
    return merged | {name.upper(): value for name, value in os.environ.items()}


def tell_misspelt(known: Collection[str], log: structlog.typing.FilteringBoundLogger) -> None:
    """Warn of names in ENV_FILE, which environment() could read, that are nearly `known` ones, those of settings."""
    for name, nearest in _misspelt(known):
        log.warning("A name in .env is not known; is it misspelt?", name=name, nearest=nearest)


def _misspelt(known: Collection[str]) -> list[tuple[str, str]]:
    """Each with the nearest one that is known. Others may stand there, of other programs."""
    given = [name for name in dotenv_values(ENV_FILE, encoding=ENV_ENCODING) if name.upper() not in known]
    nearest = {name: get_close_matches(name.upper(), known, 1, cutoff=_NEAR) for name in given}
    return [(name, near[0]) for name, near in nearest.items() if near]


def database_url(environ: Mapping[str, str]) -> str | None:
    """DATABASE_URL, else a URL of the POSTGRES_* variables, else None: the embedded database. Empty counts as unset.

    Of the POSTGRES_* any one is enough; the others are localhost, 5432, postgres, no password, and the user's name.
    POSTGRES_HOST may be the folder of a Unix socket.

    Raises:
        InvalidValue: POSTGRES_PORT is no port.
    """
    if url := environ.get("DATABASE_URL"):
        return url
    host, port, user, password, name = (environ.get(variable, "") for variable in _VARIABLES)
    if not (host or port or user or password or name):
        return None
    user = user or "postgres"
    check_port("POSTGRES_PORT", port or "5432")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    # As a parameter: between @ and / there is no room for a path.
    place = urlencode({"host": host or "localhost", "port": port or "5432"})
    secret = f":{quote(password, safe='')}" if password else ""
    return f"postgresql://{quote(user, safe='')}{secret}@/{quote(name or user, safe='')}?{place}"


def driver_url(url: str, name: str = "DATABASE_URL") -> str:
    """`url` (postgresql://, postgres:// or postgresql+asyncpg://) for repos.connecting.

    Raises:
        InvalidValue: It is of another kind, or can't be taken apart. It carries `name`, and quotes nothing that could
            be a part of the password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise InvalidValue(name, "it must begin with postgresql://, as in postgresql://user@host:5432/database")
    place, _, query = rest.partition("?")
    _check_place(name, place, query)
    kept = for_driver(name, query)
    return f"postgresql://{place}{'?' if kept else ''}{kept}"


class Location(NamedTuple):
    """Where a URL leads and as whom; empty where it does not say. Of several hosts and ports all, with commas."""

    host: str
    port: str
    database: str
    user: str


def located(url: str) -> Location:
    """The parts of a URL of driver_url's, but for the password."""
    parts = urlsplit(url)
    account, _, place = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query))
    hosts, ports = [], []
    for each in unquote(place).split(",") if place else ():
        host, colon, port = each.rpartition(":") if not each.endswith("]") else (each, "", "")
        hosts.append(host if colon else each)
        ports += [port] if colon else []
    user = unquote(account.partition(":")[0]) or query.get("user", "")
    database = unquote(parts.path.lstrip("/")) or query.get("database") or query.get("dbname", "")
    host = ",".join(hosts) or query.get("host", "")
    return Location(host, ",".join(ports) or query.get("port", ""), database, user)


def place_of(url: str) -> dict[str, str]:
    """Host, port, database and user of a URL of driver_url's as the driver takes them, for the log."""
    host, port, database, user = located(url)
    user = user or os.environ.get("PGUSER") or getpass.getuser()
    return {
        "host": host or os.environ.get("PGHOST") or "localhost",
        "port": port or os.environ.get("PGPORT") or "5432",
        "database": database or os.environ.get("PGDATABASE") or user,
        "user": user,
    }


def describe(url: str) -> str:
    """Where a URL of driver_url's leads and as whom, for a message: everything but the password."""
    host, port, database, user = located(url)
    place = ":".join(part for part in (host, port) if part) or "its default place"
    database = database or user
    named = f"the database {database}" if database else "the database"
    return f"{named} at {place}" + (f" as {user}" if user else "")


def _check_place(name: str, place: str, query: str) -> None:
    """Refuse what the driver would trip over with the password's own text in its error, or read as another place."""
    authority, _, database = place.partition("/")
    account, at, hosts = authority.rpartition("@")
    # A sign that was left as it is ends the password too early: what follows it has the @ that was meant to end it.
    early = "#" in place + query or "@" in database + query or set(account) & set("@[]") or account.count(":") > 1
    if early or not _is_splittable(place):
        raise InvalidValue(name, f"in a user's name or password {_ESCAPED}")
    ports = [port for key, port in parse_qsl(query) if key == "port"]
    for host in hosts.split(",") if hosts else ():
        found = _HOST.fullmatch(host)
        if found is None:
            told = "host:port" if at else f"user:password@host:port, where {_ESCAPED}"
            raise InvalidValue(name, f"what stands before the database's name is not {told}")
        ports += [found["port"]] if found["port"] else []
    for port in ",".join(ports).split(",") if ports else ():
        check_port(name, port)


def _is_splittable(place: str) -> bool:
    """Whether the driver's splitting, which is that of the standard library, takes it as it stands."""
    try:
        return urlsplit(f"postgresql://{place}").netloc == place.partition("/")[0]
    except ValueError:  # with the whole of what it was given in the text
        return False


def check_port(name: str, port: str) -> None:
    """Refuse what is no port.

    Raises:
        InvalidValue: It is no whole number from 1 to 65535.
    """
    if not (port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS and 1 <= int(port) <= _LAST_PORT):
        raise InvalidValue(name, "the port must be a whole number from 1 to 65535")


def wants_sql_logged(environ: Mapping[str, str]) -> bool:
    """Whether DEBUG asks for all SQL in the log."""
    return environ.get("DEBUG", "").strip().lower() in ("1", "true", "t", "yes", "y", "on")


def pool_size(environ: Mapping[str, str]) -> int:
    """DATABASE_POOL_SIZE, by default POOL_SIZE.

    Raises:
        InvalidValue: It is no whole number from 1 to MOST_CONNECTIONS.
    """
    text = environ.get("DATABASE_POOL_SIZE", "").strip() or str(POOL_SIZE)
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_CONNECTIONS):
        raise InvalidValue("DATABASE_POOL_SIZE", f"it must be a whole number from 1 to {MOST_CONNECTIONS}")
    return int(text)
