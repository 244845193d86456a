"""Commands of these tests share the mappings, which are read once."""

from __future__ import annotations

from functools import cache

import pytest

from fhir_facade.mapping import mapping_set

once = cache(mapping_set.load_mapping_set)


@pytest.fixture(autouse=True)
def _mappings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_set, "load_mapping_set", once)
