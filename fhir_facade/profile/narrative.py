"""XHTML of a narrative: what R4 allows and nothing that runs, https://hl7.org/fhir/R4/narrative.html#xhtml.

Tags are those of HTML 4.0 chapters 7 to 11 and 15, `a` and `img`; nothing that loads, runs or asks. An entity that the
text defines itself is refused, so that a small text cannot become a large one.
"""

from __future__ import annotations

import html.entities
import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"
DEEPEST = 100
LONGEST = 4 * 1024 * 1024

TAGS = frozenset(
    "a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd del dfn div dl dt em h1 h2 h3 h4 "
    "h5 h6 hr i img ins kbd li ol p pre q samp small span strike strong style sub sup table tbody td tfoot th thead tr "
    "tt u ul var center font".split()
) - {"style"}
ATTRIBUTES = frozenset(
    "title style class id lang xml:lang dir accesskey tabindex span width align valign char charoff abbr axis headers "
    "scope rowspan colspan cellpadding cellspacing border frame rules summary href name rel rev type charset hreflang "
    "coords shape cite datetime src alt longdesc height usemap ismap bgcolor color face size clear compact start value "
    "nowrap noshade xmlns".split()
)
SCHEMES = ("javascript:", "vbscript:", "data:")
PICTURES = (
    "data:image/png",
    "data:image/jpeg",
    "data:image/gif",
    "data:image/bmp",
    "data:image/webp",
    "data:image/svg+xml",
)
"""What `src` may hold itself; a picture of SVG runs nothing there."""
RUNS = (
    "url(",
    "image(",
    "image-set(",
    "expression(",
    "javascript:",
    "@import",
    "-moz-binding",
    "\\",
)
"""What a style may not say: what loads or runs, and the sign that could hide such a word. A comment counts as nothing,
for it could hide one too."""
LINKS = ("href", "src", "cite", "longdesc", "usemap")
ENTITIES: Mapping[str, int] = html.entities.name2codepoint
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);", re.ASCII)
_COMMENT = re.compile(r"/\*.*?(?:\*/|$)", re.DOTALL)
_OF_XML = ("lt", "gt", "amp", "quot", "apos")


class _Enough(Exception):
    """The text goes deeper than it may; the rest need not be read."""


class _Reader:
    """Reads a text once; the first fault stands in `fault`."""

    def __init__(self) -> None:
        self.fault: tuple[str, str] | None = None
        self.depth = 0
        self.has_content = False
        # the text is no bytes, so what it says of its encoding counts for nothing
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.ProcessingInstructionHandler = self.instruction

    def say(self, reason: str, detail: str) -> None:
        self.fault = self.fault or (reason, detail[:60])

    def start(self, name: str, attributes: dict[str, Any]) -> None:
        space, _, tag = name.rpartition(" ")
        if self.depth == 0 and tag != "div":
            self.say("not-allowed", f"<{tag}>")
        if space != XHTML or tag not in TAGS:
            self.say("not-allowed", f"<{tag}>")
        self.depth += 1
        if self.depth > DEEPEST:
            self.say("not-allowed", f"<{tag}>")
            raise _Enough
        self.has_content = self.has_content or tag == "img"
        for key, value in attributes.items():
            self.attribute(key, value)

    def attribute(self, key: str, value: str) -> None:
        space, _, name = key.rpartition(" ")
        bad = name not in ATTRIBUTES or (space and name not in ("lang", "space", "base", "id"))
        plain = "".join(value.split()).lower()
        shown = name == "src" and plain.startswith(PICTURES)
        bad = bad or (name in LINKS and plain.startswith(SCHEMES) and not shown)
        if name == "style":
            said = (plain, _COMMENT.sub("", plain))
            bad = bad or any(word in each for word in RUNS for each in said)
        if bad:
            self.say("not-allowed", f"@{name}")

    def end(self, name: str) -> None:
        self.depth -= 1

    def text(self, content: str) -> None:
        if not self.has_content and content.strip():
            self.has_content = True

    def doctype(self, *_: object) -> None:
        self.say("not-allowed", "<!DOCTYPE>")

    def instruction(self, target: str, _: str) -> None:
        self.say("not-allowed", f"<?{target}>")


def _numbered(found: re.Match[str]) -> str:
    """An entity of HTML by its number, for XML does not know its name; any other as it is, which is then a fault."""
    code = None if found[1] in _OF_XML else ENTITIES.get(found[1])
    # as long as before where it can be, so that what comes after stands at its place
    return found[0] if code is None else f"&#{code:0{max(1, len(found[0]) - 3)}};"


def check_narrative(text: Any) -> tuple[str, str] | None:
    """None when a narrative is right, else why not and what: not-xml, not-allowed, empty or too-long.

    `empty` is R4's txt-2: there is some text that is not white space, or an image.
    """
    if not isinstance(text, str):
        return ("not-xml", "")
    if len(text) > LONGEST:
        return ("too-long", "")
    reader = _Reader()
    try:
        reader.parser.Parse(_ENTITY.sub(_numbered, text).encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        return reader.fault or ("not-xml", f"{error.lineno}:{error.offset + 1}")
    except _Enough:
        return reader.fault
    if reader.fault is None and not reader.has_content:
        return ("empty", "")
    return reader.fault


def is_good_narrative(text: Any) -> bool:
    """Whether a narrative is right."""
    return check_narrative(text) is None
