"""What the first tag of an NPR-melding says: the envelope, before anything else is read."""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

from fhir_facade.contracts import Record
from fhir_facade.mapping.field_values import Unfit, from_text
from fhir_facade.store.npr_read import BETWEEN, CHUNK
from fhir_facade.store.npr_tree import Module, NprTable


class _Found(Exception):
    """The first tag is read."""


def read_envelope(path: Path, table: NprTable) -> tuple[Module | None, Record]:
    """The module of a message, and what its top element tells; nothing of a file that is no message.

    Values that are not of their type are left out: the reader tells of them.
    """
    found: list[tuple[str, dict[str, str]]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        found.append((tag, attributes))
        raise _Found

    def refuse(*_: object) -> None:
        raise _Found

    parser = expat.ParserCreate(namespace_separator=BETWEEN)
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        with path.open("rb") as stream:
            parser.Parse(stream.read(CHUNK), False)
    except (_Found, expat.ExpatError, LookupError, ValueError):
        pass
    return _taken(table, *found[0]) if found else (None, {})


def _taken(table: NprTable, tag: str, attributes: dict[str, str]) -> tuple[Module | None, Record]:
    namespace, _, name = tag.rpartition(BETWEEN)
    for module in table.modules.values():
        if (namespace, name) == (module.namespace, module.top.name):
            record: Record = {}
            for known in module.top.attributes.values():
                text = attributes.get(known.name)
                if text is None or known.field is None:
                    continue
                try:
                    record[known.name] = from_text(known.field, text)
                except Unfit:
                    continue
            return module, record
    return None, {}
