"""Items of a record's lists when a resource is put into it: which are the same, which have changed."""

from __future__ import annotations

from fhir_facade.contracts import Record
from fhir_facade.mapping.read_values import Fields


def is_repeated(key: tuple[str, ...], items: list[Record]) -> bool:
    """Whether two items of a list have the same key."""
    keys = [tuple(map(item.get, key)) for item in items] if key else []
    whole = [each for each in keys if None not in each]
    return len(set(whole)) < len(whole)


def is_edited(found: list[Fields] | None, stored: list[Record] | None) -> bool:
    """Whether a list that a resource shows has other items than the record; absent fields are as good as none."""
    if not found or not stored or len(found) != len(stored):
        return bool(found) or bool(stored)
    return any(
        {name: value for name, value in item.items() if value is not None} != one
        for item, one in zip(stored, found, strict=True)
    )


def partner(
    item: Fields, place: int, shown: list[Fields | None], used: set[int], key: tuple[str, ...], order: str, *,
    same_length: bool,
) -> int | None:  # fmt: skip
    """Which stored item a found one is: by key, else the one that shows the same, else the one in its place."""
    free = [at for at, form in enumerate(shown) if form is not None and at not in used]
    if key and all(item.get(name) is not None for name in key):
        return next((at for at in free if all((shown[at] or {}).get(name) == item[name] for name in key)), None)
    bare_item = {name: value for name, value in item.items() if name != order}
    for at in free:
        if {name: value for name, value in (shown[at] or {}).items() if name != order} == bare_item:
            return at
    return place if same_length and place in free else None


def without_derived(record: Record) -> Record:
    """A copy of a record and of the lists inside it without the entries that are worked out from the others."""
    out = {name: value for name, value in record.items() if name[0] != "$"}
    for name, value in out.items():
        if value.__class__ is list:
            out[name] = [without_derived(item) for item in value]
    return out
