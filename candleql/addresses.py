"""Settings that are addresses: hosts, origins, networks and URLs. What is told never holds a secret."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from repos.domain import shown

STORAGES = ("memory", "redis", "rediss", "redis+unix", "redis+cluster", "redis+sentinel")
"""Schemes of RATE_LIMIT_STORAGE."""
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_NUMERIC = re.compile(r"[0-9.]+")
_LONGEST_NAME = 253
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:[0-9]{1,5})?|[a-z]+://\[[0-9a-f:.]+\](:[0-9]{1,5})?")
_URL_CHARACTERS = re.compile(r"[!-~]+")


def words(text: str) -> list[str]:
    """The words between commas; empty ones do not count."""
    return [word.strip() for word in text.split(",") if word.strip()]


def hosts(text: str) -> str:
    """`text`, when each word is a host without a port, .example.org for all below it, or *.

    Raises:
        ValueError: One is something else.
    """
    for word in words(text):
        bracketed = word.startswith("[") and word.endswith("]") and ":" in word
        if word != "*" and not _is_host(word.removeprefix(".") if not bracketed else word[1:-1], bracketed):
            raise ValueError(f"{shown(word)} is no host such as example.org, .example.org or [::1], without a port")
    return text


def origins(text: str) -> str:
    """`text`, when each word is an origin as browsers send it, or *.

    Raises:
        ValueError: One is something else.
    """
    for word in words(text):
        if word not in ("*", "null") and not _ORIGIN.fullmatch(word):
            raise ValueError(f"{shown(word)} is no origin such as https://example.org, in small letters and no path")
    return text


def networks(text: str) -> str:
    """`text`, when each word is an address or a network.

    Raises:
        ValueError: One is something else.
    """
    for word in words(text):
        try:
            ip_network(word, strict=False)
        except ValueError as error:
            raise ValueError(f"{shown(word)} is no network such as 10.0.0.0/8") from error
    return text


def url_of(*schemes: str) -> Callable[[str], str]:
    """A check of an exchange's URL: one of the schemes, a host and perhaps a port and a path, but no account."""

    def check(text: str) -> str:
        if not _is_url(text, schemes) or "@" in text or "?" in text or "#" in text:
            raise ValueError(f"it must be like {schemes[-1]}://host:port, with one of the schemes {', '.join(schemes)}")
        return text

    return check


def key_set(text: str) -> str:
    """`text`, when it is the path of a JWK set, or its URL.

    Raises:
        ValueError: It is a URL of another kind, or one that nothing can be asked at.
    """
    if "\0" in text or ("://" in text and not _is_url(text, ("http", "https"))):
        raise ValueError("it must be a URL like https://host/path, or the path of a file")
    return text


def storage(text: str) -> str:
    """`text`, when it begins as one of STORAGES.

    Raises:
        ValueError: It does not.
    """
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in STORAGES:
        raise ValueError("it must begin with memory:// or redis://")
    return text


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        host, is_port = parts.hostname or "", parts.port != 0
    except ValueError:  # with the port, or what was taken for one, in its text
        return False
    if not _URL_CHARACTERS.fullmatch(text) or parts.scheme not in schemes or not is_port:
        return False
    return _is_host(host, "[" in parts.netloc)


def _is_host(host: str, bracketed: bool) -> bool:
    if bracketed or _NUMERIC.fullmatch(host):
        try:
            return ip_address(host).version == (6 if bracketed else 4)
        except ValueError:
            return False
    return len(host) <= _LONGEST_NAME and _NAME.fullmatch(host) is not None
