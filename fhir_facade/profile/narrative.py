"""XHTML of a narrative: what R4 allows and nothing that runs, https://hl7.org/fhir/R4/narrative.html#xhtml.

Tags are those of HTML 4.0 chapters 7 to 11 and 15, `a` and `img`; nothing that loads, runs or asks. An entity that the
text defines itself is refused, so that a small text cannot become a large one.
"""

from __future__ import annotations

import html.entities
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
SCHEMES = ("javascript:", "vbscript:", "data:text/html")
RUNS = ("url(", "expression(", "javascript:", "@import")
LINKS = ("href", "src", "cite", "longdesc")
ENTITIES: Mapping[str, str] = {name: chr(code) for name, code in html.entities.name2codepoint.items()}


class _Enough(Exception):
    """The text goes deeper than it may; the rest need not be read."""


class _Reader:
    """Reads a text once; the first fault stands in `fault`."""

    def __init__(self) -> None:
        self.fault: tuple[str, str] | None = None
        self.depth = 0
        self.has_content = False
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.UseForeignDTD(True)  # so that names of HTML reach SkippedEntityHandler
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.ProcessingInstructionHandler = self.instruction
        self.parser.SkippedEntityHandler = self.entity

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
        bad = bad or (name in LINKS and plain.startswith(SCHEMES))
        if bad or (name == "style" and any(word in plain for word in RUNS)):
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

    def entity(self, name: str, _: bool) -> None:
        if name in ENTITIES:
            self.has_content = self.has_content or ENTITIES[name].strip() != ""
        else:
            self.say("not-xml", f"&{name};")


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
        reader.parser.Parse(text.encode("utf-8", "surrogatepass"), True)
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
