"""Every constraint of R4 has its sentence in bokmål, and a person who asks in Norwegian reads it."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.definitions import definitions
from fhir_facade.structures import norwegian_constraints, structures
from tests.profile.test_report import validator


def meanings() -> dict[str, dict[str, set[str]]]:
    """Constraint key → English sentence → the types that say it."""
    found: dict[str, dict[str, set[str]]] = {}
    for url in structures().urls():
        content = structures().find(url) or {}
        for element in (content.get("snapshot") or content["differential"])["element"]:
            for each in element.get("constraint", ()):
                found.setdefault(each["key"], {}).setdefault(each["human"], set()).add(content["type"])
    return found


def test_every_constraint_of_r4_has_a_sentence_and_no_sentence_is_left_over() -> None:
    """A key that means several things has one sentence for each type, any other key one for all."""
    known = meanings()
    assert len(known) >= 239
    said = norwegian_constraints()
    assert said.keys() == known.keys()
    for key, by_text in known.items():
        sentence = said[key]
        if len(by_text) == 1:
            assert isinstance(sentence, str), key
            assert definitions().constraint_text_nb(key) == sentence
        else:
            assert isinstance(sentence, dict), key
            assert sentence.keys() == {name for types in by_text.values() for name in types}
            assert definitions().constraint_text_nb(key) is None
        for each in [sentence] if isinstance(sentence, str) else sentence.values():
            assert each.endswith("."), key
            assert each not in by_text


def test_a_key_that_no_constraint_has_says_nothing() -> None:
    assert definitions().constraint_text_nb("pat-2") is None


WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "pat-1",
        {"resourceType": "Patient", "contact": [{"gender": "male"}]},
        "En kontaktperson har minst name, telecom, address eller organization",
    ),
    (
        "per-1",
        {"resourceType": "Patient", "name": [{"text": "a", "period": {"start": "2021", "end": "2020"}}]},
        "En periode slutter ikke før den begynner",
    ),
    (
        "inv-1",
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "a", "valueString": "a", "part": [{"name": "b", "valueString": "c"}]}],
        },
        "Hver parameter har enten en verdi (value[x]), en ressurs eller deler (part), og bare én av dem",
    ),
    (
        "inv-1",
        {
            "resourceType": "Task",
            "status": "draft",
            "intent": "order",
            "authoredOn": "2021-02-01",
            "lastModified": "2021-01-01",
        },
        "lastModified er ikke tidligere enn authoredOn",
    ),
]


@pytest.mark.parametrize("key, resource, sentence", WRONG, ids=[f"{row[0]}-{row[1]['resourceType']}" for row in WRONG])
def test_a_broken_constraint_is_told_in_norwegian(key: str, resource: dict[str, Any], sentence: str) -> None:
    (told,) = {
        each.sentence("nb") for each in validator().validate(resource).issues if each.rule and each.rule.key == key
    }
    assert sentence in told
    english = meanings()[key]
    assert not any(each.rstrip(".") in told for each in english)
