"""How often an extension may stand on one element: as its own definition says of its root, wherever it is used.

https://hl7.org/fhir/R4/defining-extensions.html#cardinality. A least number is not asked for: that an extension must
stand at all is for a profile to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from fhir_facade.emit import Source
from fhir_facade.profile.schema import Node, Schema

EXTENSIONS = ("extension", "modifierExtension")


def too_many(schema: Schema, values: Iterable[Any]) -> Iterator[tuple[str, int, Node]]:
    """URL, number and definition of the extensions that stand too often in a list of them."""
    said = [each.get("url") for each in values if isinstance(each, dict)]
    urls = [each for each in said if isinstance(each, str)]
    if len(set(urls)) == len(urls):
        return
    for url, count in Counter(urls).items():
        root = schema.node(url) if count > 1 else None
        if root is not None and root.type == "Extension" and root.max is not None and count > root.max:
            yield url, count, root


def are_few(schema: Schema, values: list[Any]) -> bool:
    """Whether none of the extensions of a list stands too often."""
    return not any(too_many(schema, values))


def few_test(schema: Schema, variable: str, source: Source) -> str:
    """The same as a Python expression over a local variable that holds the list."""
    return f"(len({variable}) < 2 or {source.bind('are_few', partial(are_few, schema))}({variable}))"
