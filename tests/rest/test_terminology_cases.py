"""The table of judged codes (tests/terminology/cases.yaml) once more, over REST: GET and POST, system and value set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

Ask = Callable[..., httpx.Response]
TABLE = Path(__file__).parent.parent / "terminology" / "cases.yaml"
CASES: list[dict[str, Any]] = yaml.safe_load(TABLE.read_text("utf-8"))
VERDICTS = {"true": "valid", "false": "invalid", "unknown": "unknown"}
JSON = {"Content-Type": "application/fhir+json"}


def name_of(case: dict[str, Any]) -> str:
    return "-".join(str(case[each]).rsplit("/", 1)[-1] for each in case if each not in ("valid", "issue"))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_code_is_judged_over_rest(ask: Ask, case: dict[str, Any]) -> None:
    in_set = "value-set" in case
    path = f"/fhir/{'ValueSet' if in_set else 'CodeSystem'}/$validate-code"
    simple = {"code": case["code"], "system": case["system"]}
    simple |= {name: case[name] for name in ("display", "date") if name in case}
    if "version" in case:
        simple["systemVersion" if in_set else "version"] = case["version"]
    if in_set:
        simple["url"] = case["value-set"]
    coding = {name: case[name] for name in ("system", "version", "code", "display") if name in case}
    whole = [{"name": "coding", "valueCoding": coding}]
    whole += [{"name": "url", "valueUri": case["value-set"]}] if in_set else []
    whole += [{"name": "date", "valueDateTime": case["date"]}] if "date" in case else []
    answers = (
        ask("GET", path, params=simple),
        ask("POST", path, json={"resourceType": "Parameters", "parameter": whole}, headers=JSON),
    )
    for answer in answers:
        assert answer.status_code == 200, answer.text
        told = {each["name"]: each for each in answer.json()["parameter"]}
        valid = str(case["valid"]).lower()
        assert told["verdict"]["valueCode"] == VERDICTS[valid]
        assert told["result"]["valueBoolean"] is (valid != "false")
        issues = told["issues"]["resource"]["issue"] if "issues" in told else []
        assert [each["details"]["coding"][0]["code"] for each in issues][:1] == (
            [case["issue"]] if case.get("issue") else []
        )
        assert valid != "unknown" or all(each["severity"] not in ("error", "fatal") for each in issues)
