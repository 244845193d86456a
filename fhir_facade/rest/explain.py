"""What `_explain=true` tells of a search: what each parameter became, the SQL without values, its plan, rows and time.

Everything comes from the statements that ran and the mapping rows that they were made of. No value of the search and
nothing of a person stands in it: values are not in the text of a statement.
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_facade.contracts import Explained, ExplainedParameter, Page
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.services import Services


def check_explain(services: Services) -> None:
    """Refuse `_explain` where the settings have it switched off."""
    if not services.explain:
        raise Refused(Issue("explain-off", "_explain"))


def explanation(explained: list[Explained], page: Page, milliseconds: float) -> Iterator[Issue]:
    """The issues, all of them information, that say what was done and how long all of it took."""
    for each in explained:
        for parameter in each.parameters:
            yield Issue("explain-parameter", "", _parameter(each.mapping, parameter))
        facts = {
            "mapping": each.mapping,
            "rows": each.rows,
            "milliseconds": f"{each.milliseconds:.2f}",
            "sql": each.sql,
            "plan": "; ".join(each.plan),
        }
        yield Issue("explain-statement", "", facts)
    yield Issue("explain-time", "", {"records": len(page.matches), "milliseconds": f"{milliseconds:.2f}"})


def _parameter(mapping: str, parameter: ExplainedParameter) -> dict[str, object]:
    name = f"{parameter.name}:{parameter.modifier}" if parameter.modifier else parameter.name
    return {
        "use": parameter.use,
        "name": name,
        "mapping": mapping,
        "rows": list(parameter.rows) or ["-"],
        "columns": list(parameter.columns) or ["-"],
    }
