"""Code systems as FHIR writes them: CodeSystem, Bundle, package, and NDJSON with a concept on each line.

https://hl7.org/fhir/R4/codesystem.html, https://hl7.org/fhir/R4/codesystem-concept-properties.html,
https://hl7.org/fhir/packages. A concept that is longer than json_stream.LONGEST is read member by member.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

import orjson

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.code_system_rows import Event, Head, Passed, Row, Tell, date_of, shown, status_of
from fhir_facade.store.code_system_tables import LONGEST_LINE
from fhir_facade.store.json_stream import DAMAGE, JsonStream

HEAD = (
    "url", "version", "name", "title", "status", "date", "publisher", "copyright", "content", "caseSensitive",
    "identifier",
)  # fmt: skip
TEXTS = ("code", "display", "definition", "status", "parent", "valid_from", "valid_to")
PARENTS = ("parent", "subsumedBy")
WITHDRAWN = ("retired", "inactive")


def read_resources(stream: JsonStream, tell: Tell) -> Iterator[Event]:
    """Yield the rows of every CodeSystem, and its head after them."""
    while stream.peek():
        yield from _resource(stream, tell)


def read_package(source: BinaryIO, file: str, tell: Tell) -> Iterator[Event]:
    """Yield what the resources of a package hold, in the order of the archive; examples are left out."""
    member = ""
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for entry in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # it keeps every entry that it passed
                member = entry.name.removeprefix("./")
                folder, _, name = member.partition("/")
                if folder != "package" or not name.endswith(".json") or "/" in name or not entry.isreg():
                    continue
                if name not in ("package.json", ".index.json") and (content := archive.extractfile(entry)):
                    yield from read_resources(JsonStream(cast(BinaryIO, content), f"{file}/{member}"), tell)
    except DAMAGE as error:
        at = f"{file}/{member}:1" if member else f"{file}:1"
        raise Refused(Issue("file-truncated", at, {"reason": str(error)})) from None


def read_concepts(source: BinaryIO, file: str, tell: Tell) -> Iterator[Row]:
    """Yield one row for each line: a concept as FHIR writes it, or with the names that CSV columns have."""
    line = 0
    try:
        while text := source.readline(LONGEST_LINE + 1):
            line += 1
            at = f"{file}:{line}"
            if len(text) > LONGEST_LINE:
                tell(Issue("line-too-long", at, {"most": LONGEST_LINE}))
                while text and not text.endswith(b"\n"):
                    text = source.readline(LONGEST_LINE)
            elif text.strip():
                try:
                    concept = orjson.loads(text.removeprefix(b"\xef\xbb\xbf") if line == 1 else text)
                except orjson.JSONDecodeError as error:
                    tell(Issue("file-malformed", at, {"reason": error.msg}))
                    continue
                yield _row(concept, file, line, None, tell)
    except DAMAGE as error:
        raise Refused(Issue("file-truncated", f"{file}:{line + 1}", {"reason": str(error)})) from None


def _resource(stream: JsonStream, tell: Tell) -> Iterator[Event]:
    at, kind, said = f"{stream.file}:{stream.line}", "", dict[str, Any]()
    for name in stream.members():
        if name == "resourceType":
            kind = str(stream.value())
        elif name == "concept" and kind in ("", "CodeSystem"):
            yield from _concepts(stream, None, tell)
        elif name == "entry" and kind in ("", "Bundle"):
            for _ in stream.items():
                for part in stream.members():
                    if part == "resource":
                        yield from _resource(stream, tell)
                    else:
                        stream.skip()
        elif name in HEAD and kind in ("", "CodeSystem"):
            said[name] = stream.value()
        else:
            stream.skip()
    if kind == "CodeSystem" and said.get("content") not in ("not-present", "supplement"):
        yield _head(said, at, tell)
    elif kind != "Bundle":
        content = f" ({said['content']})" if kind == "CodeSystem" else ""
        yield Passed(at, shown(kind + content) or "JSON without resourceType")


def _concepts(stream: JsonStream, parent: str | None, tell: Tell) -> Iterator[Row]:
    for _ in stream.items():
        line, found = stream.line, stream.ahead()
        if found is None:
            yield from _large_concept(stream, line, parent, tell)
            continue
        concept, end = found
        row = _row(concept, stream.file, line, parent, tell)
        yield row
        if isinstance(concept, dict) and "concept" in concept:
            for name in stream.members():  # once more, now for the lines of what is below
                if name == "concept":
                    yield from _concepts(stream, row.code, tell)
                else:
                    stream.skip()
        else:
            stream.pass_over(end)


def _large_concept(stream: JsonStream, line: int, parent: str | None, tell: Tell) -> Iterator[Row]:
    """A chapter with all that is below it: its own members must stand before those."""
    said: dict[str, Any] = {}
    begun = False
    for name in stream.members():
        if name != "concept":
            if begun:
                reason = f"'{shown(name)}' stands after 'concept' in a concept that is too large to be read whole"
                raise Refused(Issue("file-malformed", f"{stream.file}:{stream.line}", {"reason": reason}))
            said[name] = stream.value()
            continue
        begun = True
        row = _row(said, stream.file, line, parent, tell)
        yield row
        yield from _concepts(stream, row.code, tell)
    if not begun:
        yield _row(said, stream.file, line, parent, tell)


def _row(concept: Any, file: str, line: int, parent: str | None, tell: Tell) -> Row:
    at = f"{file}:{line}"
    if not isinstance(concept, dict):
        tell(Issue("file-malformed", at, {"reason": "a concept is an object"}))
        return Row(file, line, "", "")
    texts = {name: concept[name] for name in TEXTS if concept.get(name) is not None}
    for name in [name for name, value in texts.items() if not isinstance(value, str)]:
        tell(Issue("file-malformed", at, {"reason": f"'{name}' is no string"}))
        del texts[name]
    row = Row(file, line, texts.get("code", ""), texts.get("display", ""))
    row.status = status_of(texts.get("status", ""), at, tell)
    row.valid_from = date_of(texts.get("valid_from", ""), "date", at, tell)
    row.valid_to = date_of(texts.get("valid_to", ""), "date", at, tell)
    row.parents = tuple(dict.fromkeys(filter(None, (parent, texts.get("parent")))))
    if "definition" in texts:
        row.properties["definition"] = texts["definition"]
    row.properties |= {str(name): _words(value) for name, value in _of(concept.get("properties"), dict).items()}
    for said in _objects(concept.get("designation")) + _objects(concept.get("designations")):
        if isinstance(value := said.get("value"), str):
            use = said.get("use")
            named = use.get("code") if isinstance(use, dict) else use
            row.designations.append((str(said.get("language") or ""), value, str(named or "")))
    for said in _objects(concept.get("property")):
        _property(row, said, tell)
    if row.code and not row.display:
        tell(Issue("code-as-display", at, {"code": shown(row.code)}))
        row.display = row.code
    return row


def _property(row: Row, said: Mapping[str, Any], tell: Tell) -> None:
    """One property: those that FHIR defines go where they belong, the others are kept by name."""
    name = str(said.get("code", ""))
    value = next((_words(said[key]) for key in said if key.startswith("value")), "")
    if name in PARENTS:
        row.parents = tuple(dict.fromkeys((*row.parents, value)))
    elif name == "inactive":
        row.status = "retired" if value == "true" else row.status
    elif name == "status" and value in WITHDRAWN:
        row.status = "retired"
    elif name in ("effectiveDate", "validFrom", "valid_from"):
        row.valid_from = date_of(value, "date", row.at, tell)
    elif name in ("retirementDate", "validTo", "valid_to"):
        row.valid_to = date_of(value, "date", row.at, tell)
    else:
        row.properties[name] = f"{row.properties[name]}; {value}" if name in row.properties else value


def _head(said: Mapping[str, Any], at: str, tell: Tell) -> Head:
    texts: dict[str, str] = {}
    for name in HEAD[:-2]:
        if isinstance(value := said.get(name), str):
            texts[name] = value
        elif value is not None:
            tell(Issue("file-malformed", at, {"reason": f"'{name}' is no string"}))
    identifiers = (each.get("value") for each in _objects(said.get("identifier")))
    return Head(
        at,
        texts.get("url"),
        texts.get("version") or texts.get("date"),
        name=texts.get("name", ""),
        title=texts.get("title", ""),
        complete=texts.get("content", "complete") == "complete",
        case_sensitive=said.get("caseSensitive") is not False,
        source=texts.get("publisher", ""),
        note=texts.get("copyright", ""),
        identifiers=tuple(value for value in identifiers if isinstance(value, str)),
    )


def _words(value: Any) -> str:
    """A property's value as text; of a Coding the code."""
    if isinstance(value, dict):
        return str(value.get("code", ""))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of(value: Any, kind: type[dict[Any, Any]]) -> dict[Any, Any]:
    return value if isinstance(value, kind) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
