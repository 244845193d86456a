"""What a connection takes, told where no HTTP parser needs to be there."""

from __future__ import annotations

URL_LIMIT = 65_535
"""Most bytes of a URL; the parser holds places in it as 16-bit numbers."""
