"""One value of a search parameter as SQL over one rule: what tokens, strings, numbers and URIs mean.

https://hl7.org/fhir/R4/search.html#ptypes. Dates stand in `search_dates.py`: the two ends of a period are judged
together. References stand in `search_references.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, or_

from fhir_facade.mapping.columns import column_name
from fhir_facade.mapping.ir import Copy, Identify
from fhir_facade.mapping.search_columns import folded_name
from fhir_facade.mapping.search_composites import any_row
from fhir_facade.mapping.search_hits import TEXT, Hit
from fhir_facade.mapping.search_numbers import number_value, number_where, quantity_value, quantity_where
from fhir_facade.mapping.search_sets import Sought, Worded, codes_where, hierarchy_codes, value_set_codes
from fhir_facade.mapping.search_tokens import accepts, chosen_value, is_shown, shown, token_where
from fhir_facade.mapping.search_values import (
    Token,
    Typed,
    folded,
    plain,
    token_value,
    typed_value,
)
from fhir_facade.mapping.vocabulary import Vocabulary
from fhir_facade.terminology.catalogue import Catalogue

Where = ColumnElement[bool]
SETS = ("text", "in", "not-in", "above", "below")
"""Modifiers of tokens by which a value stands for several codes."""
Build = Callable[[Hit, FromClause], Where]
"""The records (or list items) in which a hit's rule writes what is sought."""


def builder(
    parameter: str, kind: str, modifier: str, text: str, words: Vocabulary, catalogue: Catalogue
) -> Build:  # fmt: skip
    """What one value of a parameter of a type asks of each rule; Refused when the value cannot be read."""
    if modifier == "of-type":
        typed = typed_value(parameter, text)
        typed = typed._replace(token=meant(typed.token, words))
        return lambda hit, table: _of_type(hit, typed, table)
    if kind == "token" and modifier in SETS:
        sought = _sought(parameter, modifier, text, words, catalogue)
        return lambda hit, table: codes_where(hit, sought, table) if hit.part != TEXT else _text(hit, text, table)
    if kind == "number":
        span = number_value(parameter, plain(text))
        return lambda hit, table: number_where(hit.rule, span, table)
    if kind == "quantity":
        amount = quantity_value(parameter, text)
        return lambda hit, table: quantity_where(hit, amount, table)
    if kind == "token" or modifier == "identifier":
        token = meant(token_value(parameter, text), words)
        return lambda hit, table: token_where(hit, token, table)
    wanted = plain(text)
    if kind == "uri":
        return lambda hit, table: _uri(hit.rule, modifier, wanted, table)
    return lambda hit, table: _string(hit.rule, modifier, wanted, table)


def _sought(parameter: str, modifier: str, text: str, words: Vocabulary, catalogue: Catalogue) -> Sought:
    """The codes that a value with :text, :in, :not-in, :above or :below stands for."""
    if modifier == "text":
        return Worded(folded(plain(text)))
    if modifier in ("in", "not-in"):
        return value_set_codes(parameter, plain(text), catalogue)
    return hierarchy_codes(parameter, meant(token_value(parameter, text), words), modifier, catalogue)


def _text(hit: Hit, text: str, table: FromClause) -> Where:
    """A text that stands beside a code."""
    return _string(hit.rule, "", plain(text), table)


def _of_type(hit: Hit, typed: Typed, table: FromClause) -> Where:
    """An identifier of a type, https://hl7.org/fhir/R4/search.html#token: system|code of the type, and the value."""
    rule = hit.rule
    if isinstance(rule, Identify):
        type_system, field = rule.type_system, rule.system_field
        if (
            type_system is None
            or not field
            or not accepts(type_system, typed.token)
            or typed.token.code in rule.systems
        ):
            return false()
        return and_(table.c[column_name(field)] == typed.token.code, table.c[column_name(rule.field)] == typed.value)
    types = [each for name, each in hit.mates if name == "type"]
    of_type = any_row(
        [Hit(each, hit.each) for each in types], lambda each, at: token_where(each, typed.token, at), table
    )
    return and_(of_type, token_where(hit, Token(None, typed.value), table))


def meant(token: Token, words: Vocabulary) -> Token:
    """The token with the URI that we write for its system, whatever accepted form was given."""
    if not token.system:
        return token
    return Token(words.canonical.get(token.system, token.system), token.code)


def _uri(rule: Any, modifier: str, text: str, table: FromClause) -> Where:
    """A URI, all of it, a version too; with :below also those that go on with a slash, with :above those before one."""
    stem = text.rstrip("/")
    above = [text, *(stem[:at] for at, letter in enumerate(stem) if letter == "/" and at), stem]
    if not isinstance(rule, Copy):
        tests: dict[str, Callable[[Any], bool]] = {
            "": lambda value: bool(value == text),
            "above": lambda value: value in above,
            "below": lambda value: bool(value == text) or str(value).startswith(f"{stem}/"),
        }
        return chosen_value(rule, tests[modifier], table)
    if modifier == "above":
        return or_(*(is_shown(rule, each, table) for each in dict.fromkeys(above)))
    if modifier == "below":
        column = shown(rule, table)
        return or_(is_shown(rule, text, table), and_(column >= f"{stem}/", column < f"{stem}0"))  # "0" follows "/"
    return is_shown(rule, text, table)


def _string(rule: Any, modifier: str, text: str, table: FromClause) -> Where:
    """A string that begins with the text, holds it, or is it; case and accents count for :exact alone."""
    sought = folded(text)
    if not isinstance(rule, Copy):
        tests: dict[str, Callable[[Any], bool]] = {
            "": lambda value: folded(value).startswith(sought),
            "contains": lambda value: sought in folded(value),
            "exact": lambda value: bool(value == text),
        }
        return chosen_value(rule, lambda value: isinstance(value, str) and tests[modifier](value), table)
    if modifier == "exact":
        return is_shown(rule, text, table)
    column = table.c[folded_name(rule)]
    if modifier == "contains":
        return column.contains(sought, autoescape=True)
    return and_(column >= sought, column < sought + "\U0010ffff")
