"""Whether a rule writes anything that a search could find: what `:missing` asks."""

from __future__ import annotations

from sqlalchemy import ColumnElement, FromClause, or_, true

from fhir_facade.mapping.columns import KEY, column_name, link_column
from fhir_facade.mapping.ir import Constant, Copy, Derive, Key, Logical, Refer
from fhir_facade.mapping.search_columns import number_name
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_tokens import token_where
from fhir_facade.mapping.search_values import Token

ANY = Token(None, None)


def writes(hit: Hit, table: FromClause) -> ColumnElement[bool]:
    """The records (or list items) for which a hit's rule writes a value."""
    rule = hit.rule
    match rule:
        case Key():
            return true()
        case Copy(codec="integer"):
            return table.c[number_name(rule)].is_not(None)
        case Constant() if isinstance(rule.value, int):
            return true()
        case Copy():
            return or_(*(table.c[column_name(name)].is_not(None) for name in rule.fields))
        case Refer():
            return table.c[KEY if rule.link == "key" else link_column(rule.link)].is_not(None)
        case Logical():
            return table.c[column_name(rule.field)].is_not(None)
        case Derive() if rule.otherwise is not None:
            return true()
    return token_where(hit, ANY, table)
