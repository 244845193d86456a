"""Record kinds: what an EPJ record is made of, as said by the files in mappings/records/.

A kind has a key (its whole scope), fields, child lists, and references to other kinds. Everything that the store, the
NPR-melding reader and the mapping engines know about records they know from here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fhir_facade.contracts import Record
from fhir_facade.mapping.ir import Codec, Parts

FieldType = Literal["text", "code", "integer", "date", "dateTime", "year"]
Required = Literal["no", "always", "in-message"]

READABLE = re.compile(r"[A-Za-z0-9-]*(\.[A-Za-z0-9-]*)*").fullmatch
PREFIX_LENGTH = 12  # the longest prefix that a mapping may put before a key, with its hyphen
KEY_LENGTH = 64 - PREFIX_LENGTH


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record or of a child list.

    `code_list` is a Volven number; `judged_on` names the field whose date decides which codes are valid;
    `bindings` are places in NPR-melding: "Episode@debitor" an attribute, "Tjeneste#" a position among siblings,
    "Kontakt|AvdOpp" the name of the part present, "Melding:module" the message module. `assigned` says that the
    store gives a new record the next number, when nothing else gives it one.
    """

    name: str
    type: FieldType
    required: Required
    code_list: str
    judged_on: str
    max_length: int
    digits: int
    bindings: tuple[str, ...]
    meaning: str
    at: str
    assigned: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A reference: the fields that together make the key of a record of kind `to`; "^name" is the parent's field."""

    name: str
    to: str
    fields: tuple[str, ...]
    at: str


@dataclass(frozen=True, slots=True)
class ChildList:
    """A list inside a record: its own fields, or (`records`) the records of a kind whose parent this is."""

    name: str
    key: tuple[str, ...]
    fields: Mapping[str, Field]
    links: Mapping[str, Link]
    element: str
    records: str
    meaning: str
    at: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One record kind; `elements` maps an NPR module (ord, ide) to the element path that carries a record."""

    name: str
    key: tuple[str, ...]
    fields: Mapping[str, Field]
    children: Mapping[str, ChildList]
    links: Mapping[str, Link]
    parent: str
    elements: Mapping[str, str]
    present_when: str
    version: str
    changed: str
    table: str
    meaning: str
    at: str

    def own_lists(self) -> list[ChildList]:
        """The child lists that live inside the record, not those that are records of their own."""
        return [child for child in self.children.values() if not child.records]

    def parts(self, names: Iterable[str]) -> Parts:
        """How the fields of a key are read back from its text."""
        return tuple((name, codec_of(self.fields[name].type) if name in self.fields else "text") for name in names)

    def link_of(self, field_name: str) -> Link | None:
        """The reference that a field points with: the one whose last field it is."""
        return next((link for link in self.links.values() if link.fields[-1] == field_name), None)


def codec_of(field_type: FieldType) -> Codec:
    """How values of a field type are read and written; a code is text."""
    return "text" if field_type == "code" else field_type


@dataclass(frozen=True)
class Kinds:
    """All record kinds of a deployment, in an order where references point backwards."""

    by_name: Mapping[str, Kind]

    def __getitem__(self, name: str) -> Kind:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.by_name.values())

    def always(self, kind: Kind) -> dict[str, frozenset[str]]:
        """What every complete, stored record has, fields and links: its own under "", those of items by list."""
        out = {"": self._always(kind)}
        for child in kind.children.values():
            out[child.name] = self._always(self[child.records]) if child.records else _required(child.fields)
        return out

    def _always(self, kind: Kind) -> frozenset[str]:
        fields = _required(kind.fields)
        links = {"$" + link.name for link in kind.links.values() if fields.issuperset(link.fields)}
        return fields | links | {"$key", kind.version, kind.changed}

    def complete(self, kind: Kind, record: Record) -> Record:
        """Return a copy with "$key" and "$<reference>" filled in, in the record and in every list inside it."""
        return self.completed(kind, dict(record))

    def completed(self, kind: Kind, whole: Record) -> Record:
        """The same with the record itself, which is nobody else's; its lists are made anew."""
        add_keys(whole, kind.key, kind.links, None)
        for child in kind.children.values():
            items = whole.get(child.name) or []
            if child.records:
                whole[child.name] = [self.complete(self[child.records], item) for item in items]
            else:
                whole[child.name] = items
                if child.links:
                    whole[child.name] = [dict(item) for item in items]
                    for item in whole[child.name]:
                        add_keys(item, (), child.links, whole)
        return whole


def _required(fields: Mapping[str, Field]) -> frozenset[str]:
    return frozenset(name for name, field in fields.items() if field.required == "always")


def add_keys(record: Record, key: tuple[str, ...], links: Mapping[str, Link], parent: Record | None) -> None:
    """Put the derived "$" entries of one record or child item in place."""
    get = record.get
    if key:
        record["$key"] = key_text(list(map(get, key)))
    for link in links.values():
        if parent is None:
            parts = list(map(get, link.fields))
        else:
            parts = [_look_up(name, record, parent) for name in link.fields]
        record["$" + link.name] = None if parts[-1] is None else key_text(parts)


def key_parts(text: str, parts: Parts) -> dict[str, Any] | None:
    """The fields that a key text was made of; None when it is a hash or was made of something else."""
    texts = text.split(".")
    if len(texts) != len(parts):
        return None
    found: dict[str, Any] = {}
    for (name, codec), part in zip(parts, texts, strict=True):
        if codec == "integer" and part and not re.fullmatch("-?[0-9]{1,18}", part):
            return None
        found[name] = None if not part else int(part) if codec == "integer" else part
    return found if key_text(list(found.values())) == text else None


def _look_up(name: str, record: Record, parent: Record | None) -> Any:
    if name in record or parent is None:
        return record.get(name)
    return parent.get(name)


def key_text(parts: Sequence[Any]) -> str:
    """Join the parts of a key into text that may stand in a FHIR id (R4 id: 1 to 64 of A-Z a-z 0-9 - .).

    Readable where the parts fit: joined by dots, an absent part empty. Else "x" and 40 hexadecimal digits of a
    SHA-256 over the parts; it has no dot, so it never meets a readable key of two parts or more.
    """
    try:
        joined = ".".join(parts)
    except TypeError:  # not all of them are text
        parts = ["" if part is None else str(part) for part in parts]
        joined = ".".join(parts)
    if len(joined) <= KEY_LENGTH and joined.count(".") == len(parts) - 1 and joined:
        plain = joined.isascii() and joined.replace(".", "").isalnum()
        if plain or READABLE(joined):
            return joined
    return "x" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def names_in(bindings: Iterable[str]) -> set[str]:
    """The element names that bindings speak of."""
    return {re.split(r"[@#:|]", binding)[0] for binding in bindings}
