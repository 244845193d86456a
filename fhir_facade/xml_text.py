"""Text as it may stand in XML: escaped, and without the characters that XML 1.0 has no place for."""

from __future__ import annotations

import re
from xml.sax import saxutils

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_of(value: object) -> str:
    """What stands between tags."""
    return saxutils.escape(_plain(value))


def attribute_of(value: object) -> str:
    """The value of an attribute, with its quotation marks."""
    return saxutils.quoteattr(_plain(value))


def _plain(value: object) -> str:
    return _NO_XML.sub("\ufffd", str(value))
