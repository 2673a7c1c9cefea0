"""The dashboard and GraphiQL, as `make web` built them into gql/static/, and what a browser may do on them."""

import gzip
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

ASSETS = "/assets/"
"""Where the pages load everything from."""

_BUILT = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' {styles}; font-src 'self' data:; img-src 'self' data:;"
    " connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# What lightweight-charts 5 styles its maker's logo with, which has to be shown.
_LOGO = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"
# A name has a hash of what is in it.
_KEPT = "public, max-age=31536000, immutable"


class Page:
    """An ASGI application that answers with one built page."""

    def __init__(self, name: str, styles: str) -> None:
        """`styles` are what the policy allows besides style sheets of ours."""
        self._name = name
        self._headers = {
            "Content-Security-Policy": _POLICY.format(styles=styles),
            "Cross-Origin-Opener-Policy": "same-origin",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = _sent(Request(scope), self._name)
        response.headers.update(self._headers)
        await response(scope, receive, send)


DASHBOARD = Page("index.html", _LOGO)
# Monaco writes style sheets as it goes.
GRAPHIQL = Page("graphiql.html", "'unsafe-inline'")


async def asset(request: Request) -> Response:
    """What the pages load: for good, because a file that changes has another name.

    Raises:
        HTTPException: There is no such file.
    """
    response = _sent(request, f"assets/{request.path_params['name']}")
    response.headers["Cache-Control"] = _KEPT
    return response


@cache
def _packed() -> dict[str, bytes]:
    """Every file by its path, compressed by gzip: all in all 2 MB."""
    files = _BUILT.rglob("*.gz")
    return {file.relative_to(_BUILT).as_posix().removesuffix(".gz"): file.read_bytes() for file in files}


def _sent(request: Request, name: str) -> Response:
    """Compressed, as it lies there, for everyone who reads that."""
    packed = _packed().get(name)
    if packed is None:
        raise HTTPException(404)
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        packed = gzip.decompress(packed)
    return Response(packed, headers=headers, media_type=_MEDIA_TYPES[Path(name).suffix])
