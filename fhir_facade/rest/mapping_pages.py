"""The mappings as pages beside the FHIR interface: an index, and the table of each as HTML, CSV or JSON."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from fhir_facade.mapping.docs_prints import PRINTS, html_table, page
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.to_docs import mapping_table
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.negotiation import preferred
from fhir_facade.rest.query_string import refuse_person_number
from fhir_facade.store.batches import shown

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import MappingSet

PATH = "/mappings"
OFFERED = ("html", "csv", "json")
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Vary": "accept, accept-language",
    "X-Content-Type-Options": "nosniff",
}
"""On every page: nothing is loaded or run, and a copy is asked for again before it is used."""

Page = tuple[str, bytes]
"""Media type and bytes."""


def index_page(mapping_set: MappingSet, accept: str) -> Page:
    """All mappings with links to their tables, as HTML or JSON; Refused when neither is accepted."""
    form = _chosen(accept, ("html", "json"))
    mappings = sorted(mapping_set.mappings.values(), key=lambda mapping: mapping.name)
    if form == "json":
        said = [
            {
                "mapping": each.name, "version": each.version, "record": each.kind.name,
                "resource": each.resource_type, "table": f"{PATH}/{quote(each.name)}",
            }
            for each in mappings
        ]  # fmt: skip
        return PRINTS[form][0], orjson.dumps(said)
    rows = []
    for each in mappings:
        links = (f'<a href="{PATH}/{quote(each.name)}.{kind}">{kind}</a>' for kind in OFFERED)
        told = (each.name, each.version, each.kind.name, each.resource_type, each.kind.meaning)
        rows.append([*map(escape, told), " ".join(links)])
    head = ("Mapping", "Version", "Record", "Resource", "Meaning", "Table")
    return PRINTS[form][0], page("Mappings", html_table(head, rows))


def table_page(mapping_set: MappingSet, name: str, accept: str) -> Page:
    """The table of one mapping; the form by the ending of the name, else by what is accepted. Refused: 404, 406."""
    refuse_person_number(name, "")
    stem, _, ending = name.rpartition(".")
    known = mapping_set.mappings
    if name not in known and stem in known and ending in OFFERED:
        name, form = stem, ending
    else:
        form = ""
    if name not in known:
        said = shown(name)
        facts = {"name": said, "allowed": list(known), "nearest": nearest(said, known)}
        raise Refused(Issue("mapping-unknown", "", facts))
    media, make = PRINTS[form or _chosen(accept, OFFERED)]
    return media, make([mapping_table(known[name], mapping_set.kinds)])


def _chosen(accept: str, forms: Iterable[str]) -> str:
    by_type = {PRINTS[form][0].partition(";")[0]: form for form in forms}
    media = preferred(accept.encode("latin-1", "replace"), tuple(by_type))
    if media is None:
        raise Refused(Issue("page-not-acceptable", "", {"format": shown(accept), "allowed": list(by_type)}))
    return by_type[media]
