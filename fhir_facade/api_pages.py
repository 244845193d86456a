"""Swagger UI over our OpenAPI document, from files on this machine: nothing is fetched from elsewhere.

The files are those of the package fastapi-swagger, which carries Swagger UI (Apache License 2.0) unchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import urlsplit

PATH = "/docs"
SCRIPT = "swagger-ui-bundle.js"
STYLE = "swagger-ui.css"
ICON = "favicon-32x32.png"
START = "start.js"

PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fhir_facade: requests</title>
<link rel="icon" href="docs/{ICON}">
<link rel="stylesheet" href="docs/{STYLE}">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>The document itself: <a href="openapi.json">openapi.json</a></noscript>
<script src="docs/{SCRIPT}"></script>
<script src="docs/{START}"></script>
</body>
</html>
""".encode()
# without validatorUrl null, a page that is not on this machine would ask a validator on the net
STARTING = b"""SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null
});
"""


class File(NamedTuple):
    """One file: its media type, its bytes, and the ETag of them."""

    media: str
    content: bytes
    etag: str


@cache
def page_files() -> Mapping[str, File]:
    """Every file that the page loads, by its name under /docs; the page itself is ""."""
    import fastapi_swagger

    carried = files(fastapi_swagger) / "resources"
    media = {SCRIPT: "text/javascript; charset=utf-8", STYLE: "text/css; charset=utf-8", ICON: "image/png"}
    found = {name: (kind, (carried / name).read_bytes()) for name, kind in media.items()}
    found |= {"": ("text/html; charset=utf-8", PAGE), START: (media[SCRIPT], STARTING)}
    return {
        name: File(kind, body, f'W/"{hashlib.sha256(body).hexdigest()[:16]}"') for name, (kind, body) in found.items()
    }


def page_headers(base_url: str) -> dict[str, str]:
    """What the page may load and ask: its own files, and the FHIR interface, also where that has another name."""
    parts = urlsplit(base_url)
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' {parts.scheme}://{parts.netloc}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
    }
