"""Read an NPR-melding as a stream: each unit, patient or deletion is a batch as soon as its element ends.

The parser is expat: it tells the exact line of every tag however long the file is (libxml2 guesses after line
65,535), fetches nothing, and is stopped at a DOCTYPE before any entity exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

from fhir_facade.mapping.field_values import SPACE, Unfit, from_text
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.batches import Batch, Delete, line, shown
from fhir_facade.store.npr_frames import Draft, Frame, draft, gather, sift
from fhir_facade.store.npr_tree import BATCH_DEPTH, Attribute, Module, Node, NprTable, Owner
from fhir_facade.terminology.identity import is_national_identity_number

CHUNK = 1 << 16
LONGEST_PIECE = 1 << 20  # a tag or text longer than this is no message; expat would look at it again and again
BETWEEN = " "  # stands between namespace and name; no URI holds it
SCHEMA_HINTS = frozenset(
    f"http://www.w3.org/2001/XMLSchema-instance{BETWEEN}{name}"
    for name in ("schemaLocation", "noNamespaceSchemaLocation")
)

STRAY = frozenset({"element-unknown", "attribute-unknown", "text-unexpected"})  # part of no record in a container


def read_message(source: Path | BinaryIO, table: NprTable, kinds: Kinds) -> Iterator[Batch]:
    """Yield the batches of a message in file order, its envelope last; Refused when it is not well-formed."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield from read_message(stream, table, kinds)
        return
    reader = _Reader(table, kinds)
    while chunk := source.read(CHUNK):
        reader.feed(chunk)
        yield from reader.take()
    reader.feed(b"", last=True)
    yield from reader.take()


class _Reader:
    """Turns the parser's events into frames, and frames into batches."""

    def __init__(self, table: NprTable, kinds: Kinds) -> None:
        self.table, self.kinds = table, kinds
        self.order = {kind.name: index for index, kind in enumerate(kinds)}
        self.module: Module
        self.names: dict[str, str] = {}
        self.frame: Frame | None = None
        self.unknown = 0  # how deep inside an element that is not expected
        self.fed = 0
        self.ready: list[Batch] = []
        self.batch = Batch()
        self.drafts: list[Draft] = []
        self.once: set[int] = set()  # hashes, so that a large file needs little memory
        self.parser = expat.ParserCreate(namespace_separator=BETWEEN)
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.buffer_text = True

    def feed(self, chunk: bytes, last: bool = False) -> None:
        """Parse a piece of the file."""
        try:
            self.parser.Parse(chunk, last)
        except expat.ExpatError as error:
            reason = f"line {error.lineno}, column {error.offset + 1}"
            raise Refused(Issue("not-xml", reason, {"reason": expat.ErrorString(error.code)})) from None
        except (LookupError, ValueError, UnicodeError):
            raise Refused(Issue("not-xml", "line 1, column 1", {"reason": "unknown encoding"})) from None
        self.fed += len(chunk)
        if self.fed - self.parser.CurrentByteIndex > LONGEST_PIECE:
            reason = f"a tag or text is longer than {LONGEST_PIECE} bytes"
            raise Refused(Issue("not-xml", self._here(), {"reason": reason}))

    def take(self) -> list[Batch]:
        """The batches that became ready."""
        ready, self.ready = self.ready, []
        return ready

    def _here(self) -> str:
        return f"line {self.parser.CurrentLineNumber}, column {self.parser.CurrentColumnNumber + 1}"

    def doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        raise Refused(Issue("doctype-refused", self._here()))

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A start tag: find its place in the table and judge its attributes."""
        if self.unknown:
            self.unknown += 1
            return
        above = self.frame
        node = self._top(tag) if above is None else self._below(above, tag)
        if node is None:
            self.unknown = 1
            return
        frame = Frame(node, self.parser.CurrentLineNumber, above)
        if above is not None:
            above.counts[node.name] = frame.position = above.counts.get(node.name, 0) + 1
            if node.is_part and frame.position > node.maximum:
                self.fault(frame, "element-repeated", element=node.name, parent=above.node.name)
        self.frame = frame
        self._take_attributes(frame, attributes)
        if node.once:
            self._check_once(frame)

    def _top(self, tag: str) -> Node:
        namespace, _, name = tag.rpartition(BETWEEN)
        for module in self.table.modules.values():
            if namespace == module.namespace and name == module.top.name:
                self.module = module
                self.names = {f"{namespace}{BETWEEN}{node.name}": node.name for node in module.top.walk()}
                return module.top
        allowed = [f"{module.top.name} in {module.namespace}" for module in self.table.modules.values()]
        facts = {"element": shown(name), "namespace": shown(namespace), "allowed": allowed}
        raise Refused(Issue("message-unknown", self._here(), facts))

    def _below(self, above: Frame, tag: str) -> Node | None:
        node = above.node.children.get(self.names.get(tag, ""))
        if node is None:
            namespace, _, name = tag.rpartition(BETWEEN)
            known = namespace == self.module.namespace
            element = shown(name if known else f"{{{namespace}}}{name}")
            allowed = list(above.node.children) or ["-"]
            self.fault(above, "element-unknown", element=element, parent=above.node.name, allowed=allowed)
        return node

    def _take_attributes(self, frame: Frame, attributes: dict[str, str]) -> None:
        node = frame.node
        for name, text in attributes.items():
            attribute = node.attributes.get(name)
            if attribute is not None:
                self._take(frame, attribute, text)
            elif name not in SCHEMA_HINTS:
                facts = {
                    "element": node.name,
                    "attribute": shown(name),
                    "allowed": list(node.attributes) or ["-"],
                }
                self.fault(frame, "attribute-unknown", **facts)
        for attribute in node.attributes.values():
            if attribute.required and _is_empty(attribute, attributes.get(attribute.name)):
                self.fault(frame, "field-missing", field=attribute.name, kind=node.label)

    def _take(self, frame: Frame, attribute: Attribute, text: str) -> None:
        """Keep the value of an attribute; an empty text or code is no value."""
        if _is_empty(attribute, text):
            return
        field = attribute.field
        try:
            if attribute.fixed and text != attribute.fixed:
                raise Unfit(f"only {attribute.fixed} is read here")
            value = from_text(field, text) if field else text
        except Unfit as unfit:
            kind = field.type if field else "text"
            self.fault(frame, "field-type", field=attribute.name, type=kind, reason=unfit.reason)
            return
        if attribute.in_key and isinstance(value, str) and is_national_identity_number(value.strip()):
            self.fault(frame, "person-number-as-key", field=attribute.name)
            return
        frame.values[attribute.name] = value

    def _check_once(self, frame: Frame) -> None:
        """Refuse a second element of the institution with the same number."""
        above = tuple(sorted(frame.up.values.items())) if frame.up else ()
        seen = hash((above, frame.node.name, frame.values.get(frame.node.once)))
        if frame.node.once in frame.values and seen in self.once:
            self.fault(frame, "record-repeated", kind=frame.node.label)
        self.once.add(seen)

    def text(self, data: str) -> None:
        """Text between tags: there is none in these messages but white space."""
        frame = self.frame
        if frame is not None and not self.unknown and not frame.spoken and data.strip(SPACE):
            frame.spoken = True
            self.fault(frame, "text-unexpected", element=frame.node.name)

    def fault(self, frame: Frame, code: str, **facts: Any) -> None:
        """Report a fault, and refuse the record that it is part of."""
        self.batch.issues.append(Issue(code, line(self.parser.CurrentLineNumber), facts))
        if not (frame.node.is_container and code in STRAY):
            frame.host.bad = True

    def end(self, tag: str) -> None:
        """An end tag: what the element makes is now whole."""
        if self.unknown:
            self.unknown -= 1
            return
        frame = self.frame
        if frame is None:
            return
        self._check_whole(frame)
        if frame.node.is_part and frame.up is not None:
            frame.up.parts.setdefault(frame.node.name, frame.values)
        for owner in frame.node.owners:
            self._make(owner, frame)
        if frame.node.name == self.table.deletion.element:
            self._delete(frame)
        if frame.node.depth == BATCH_DEPTH or frame.up is None:
            self._finish()
        self.frame = frame.up

    def _check_whole(self, frame: Frame) -> None:
        """What can only be judged when an element ends; told at the line where it began."""
        node = frame.node
        if node.choice and sum(part in frame.counts for part in node.choice) != 1:
            self.fault_at_start(frame, "element-choice", allowed=list(node.choice), parent=node.name)
        if node.needs and node.needs not in frame.counts:
            self.fault_at_start(frame, "element-missing", element=node.needs, parent=node.name)
            makes = next(owner.kind.name for below in node.walk() for owner in below.owners)
            if frame.host is frame:
                self.batch.read[makes] += 1
                self.batch.refused[makes] += 1

    def fault_at_start(self, frame: Frame, code: str, **facts: Any) -> None:
        """Report a fault of a whole element."""
        self.batch.issues.append(Issue(code, line(frame.line), facts))
        frame.host.bad = True

    def _make(self, owner: Owner, frame: Frame) -> None:
        """Make the record, or the item of a list, that the element stands for."""
        if owner.child is None:
            if owner.derived and frame.values.get(owner.kind.present_when.partition("@")[2]) is None:
                return
            one, torn = draft(owner, frame, self.module, self.kinds)
            self.drafts.append(one)
        else:
            item, torn = gather(owner, frame, self.module)
            host = frame.host
            key = (owner.child.name, *(item[name] for name in owner.key))
            if key in host.keys:
                self.fault_at_start(frame, "record-repeated", kind=owner.child.name)
            host.keys.add(key)
            host.items.setdefault(owner.child.name, []).append(item)
        for name in torn:
            self.fault_at_start(frame, "values-disagree", field=name)

    def _delete(self, frame: Frame) -> None:
        """Note a deletion, within the institution that asks for it."""
        deletion = self.table.deletion
        above = frame.up
        if frame.bad or above is None or above.bad:
            return
        letter = str(frame.values[deletion.type])
        if letter not in deletion.objects:
            facts = {"type": shown(letter), "allowed": list(deletion.objects)}
            self.fault_at_start(frame, "delete-not-supported", **facts)
            return
        kind, field = deletion.objects[letter]
        scope = self.scope(kind, above)
        self.batch.deletes.append(Delete(kind, field, str(frame.values[deletion.guid]), scope, frame.line))

    def scope(self, kind: str, institution: Frame) -> dict[str, object]:
        """The fields of a kind that the element around all its records gives a value."""
        return {
            slot.field.name: institution.values[place.what]
            for node in self.module.top.walk()
            for owner in node.owners
            if owner.kind.name == kind and not owner.child
            for slot in owner.slots
            for place in slot.places
            if place.depth == institution.node.depth and place.what in institution.values
        }

    def _finish(self) -> None:
        """Close the batch."""
        sift(self.drafts, self.order, self.batch)
        self.batch.nested = self.module.nested
        self.ready.append(self.batch)
        self.batch, self.drafts = Batch(), []


def _is_empty(attribute: Attribute, text: str | None) -> bool:
    """Whether an attribute has no value: it is absent, or an empty text or code."""
    return text is None or (not text and (attribute.field is None or attribute.field.type in ("text", "code")))
