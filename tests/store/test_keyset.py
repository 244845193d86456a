"""Whatever the order, the direction and the count, the pages together are all rows in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, func, literal, true

from fhir_facade.contracts import Clause, Query, Sort
from fhir_facade.mapping.kinds import Kind
from fhir_facade.store.records import SqliteStore
from tests.store_sample import merge, sample_kinds

CONSTANT = {"rank": 1, "word": "b"}


@dataclass(frozen=True)
class Source:
    mapping: str
    kind: Kind
    constant: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Two kinds sorted by rank and word; some sources have the same value for all their rows."""

    found_in: tuple[Source, ...]
    lasts = False

    def sources(self, resource_type: str) -> tuple[Source, ...]:
        return self.found_in

    def where(self, source: Source, clauses: Sequence[Clause], tables: Mapping[str, Table]) -> ColumnElement[bool]:
        return true()

    def order(self, source: Source, sort: Sequence[Sort], tables: Mapping[str, Table]) -> list[ColumnElement[Any]]:
        columns = tables[source.kind.name].c
        empty = {"rank": -1, "word": ""}
        return [
            literal(CONSTANT[key.parameter])
            if key.parameter in source.constant
            else func.coalesce(columns[key.parameter], empty[key.parameter])
            for key in sort
        ]

    def rows_of(self, source: Source, code: str) -> tuple[str, ...]:
        return ()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    kinds = sample_kinds(tmp_path_factory.mktemp("kinds"))
    store = SqliteStore.open(":memory:", kinds)
    with store.transaction() as writer:
        merge(writer, store, "person", personNr="P")
        for number, (rank, word) in enumerate(product((None, 1, 2), (None, "b", "c", "b"))):
            merge(writer, store, "stay", personNr="P", stayNr=number, rank=rank, word=word)
            merge(writer, store, "act", personNr="P", stayNr=number, actNr=1, rank=rank, word=word)
    yield store
    store.close()


SORTS = [
    tuple(Sort(name, down) for name, down in zip(names, downs, strict=True))
    for names in ((), ("rank",), ("word",), ("rank", "word"), ("word", "rank"))
    for downs in product((False, True), repeat=len(names))
]


@pytest.mark.parametrize("constant", [(), ("rank",), ("word",), ("rank", "word")])
@pytest.mark.parametrize("backward", [False, True])
def test_pages_in_any_order_and_direction_are_all_rows_in_order(
    store: SqliteStore, constant: tuple[str, ...], backward: bool
) -> None:
    kinds = store.schema.kinds
    for first in (False, True):  # which of the two sources has values that are all the same
        sources = (Source("x", kinds["stay"], constant * first), Source("y", kinds["act"], constant * (not first)))
        for sort, count in product(SORTS, (1, 2, 5, 24)):
            query = Query("X", (), sort, count, (), False, backward)
            got: list[tuple[Any, ...]] = []
            while True:
                at = () if not got else got[-1]
                page = store.find(replace(query, after=at), Plan(sources))
                places = [match.position for match in page.matches]
                got += places[::-1] if backward else places
                if not page.more or len(got) > 30:
                    break
            wanted = in_order(got, sort)
            assert len(set(got)) == 24, (sort, count)
            assert got == (wanted[::-1] if backward else wanted), (sort, count)


def in_order(places: list[tuple[Any, ...]], sort: tuple[Sort, ...]) -> list[tuple[Any, ...]]:
    """The places in the total order: by the last thing first, as a stable sort allows."""
    tail = sort[-1].descending if sort else False
    ordered = sorted(set(places), key=lambda place: place[len(sort) :], reverse=tail)
    for index in reversed(range(len(sort))):
        ordered.sort(key=lambda place, index=index: place[index], reverse=sort[index].descending)  # type: ignore[misc]
    return ordered
