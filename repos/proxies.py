"""Which proxy leads outside, by the variables that HTTP clients know: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""

from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from repos.domain import InvalidValue

_SCHEMES = ("http", "https", "socks5", "socks5h")
"""What both httpx2 and websockets speak."""
_FIRST_FOR = {"http": ("http", "all"), "https": ("https", "all"), "ws": ("http", "all"), "wss": ("https", "all")}


def proxy_for(url: str) -> str | None:
    """The URL of the proxy that leads to `url` (http, https, ws or wss); None for none. Loopback is never proxied.

    Raises:
        InvalidValue: The variable names no proxy that can be used. It carries the variable's name, and tells nothing of
            a password in it.
    """
    target = urlsplit(url)
    if is_loopback(url) or proxy_bypass(target.hostname or ""):
        return None
    known = getproxies()
    for scheme in _FIRST_FOR[target.scheme]:
        if proxy := known.get(scheme):
            return _checked(f"{scheme.upper()}_PROXY", proxy if "://" in proxy else f"http://{proxy}")
    return None


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _checked(name: str, proxy: str) -> str:
    try:
        parts = urlsplit(proxy)
        is_whole = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0 and parts.path in ("", "/")
    except ValueError:  # with the port, or what was taken for one, in its text
        is_whole = False
    if not is_whole or parts.query or parts.fragment or (parts.username and parts.password is None):
        raise InvalidValue(name, f"it must be like http://host:port, with one of the schemes {', '.join(_SCHEMES)}")
    return proxy.rstrip("/")
