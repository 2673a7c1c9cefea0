"""The page with which a browser asks, and what it may do."""

import re
from base64 import b64encode
from hashlib import sha256

from starlette.responses import HTMLResponse

_CDN = "https://unpkg.com"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def page(html: str) -> HTMLResponse:
    """`html` with a policy: it may run its own scripts as they stand there, and what it takes from its CDN."""
    hashes = (b64encode(sha256(text.encode()).digest()).decode() for text in _SCRIPT.findall(html))
    scripts = " ".join(f"'sha256-{text}'" for text in hashes)
    policy = (
        f"default-src 'none'; script-src {scripts} {_CDN}; style-src 'unsafe-inline' {_CDN}; font-src data: {_CDN};"
        " img-src 'self' data:; connect-src 'self'; worker-src 'self' blob:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
    return HTMLResponse(html, headers=headers)
