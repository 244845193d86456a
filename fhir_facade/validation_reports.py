"""Verdicts on many resources as text, JSON, JUnit and SARIF, written while they come.

JUnit: https://github.com/testmoapp/junitxml, SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import quote

import orjson

from fhir_facade import __version__
from fhir_facade.json_text import Placed
from fhir_facade.outcome import CATALOGUE, Issue
from fhir_facade.validation_stream import Judged, outcome_of
from fhir_facade.xml_text import attribute_of, text_of

LEVELS = {"fatal": "error", "error": "error", "warning": "warning", "information": "note"}
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
STANDARD_INPUT = "-"
KEPT_IN_MEMORY = 1 << 20

_PLACEHOLDER = re.compile(r"'?\{[^}]*\}'?")


@dataclass
class Summary:
    """What a run came to: numbers of files, resources and findings, and findings by rule key."""

    files: int = 0
    resources: int = 0
    valid: int = 0
    severities: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, judged: Judged) -> None:
        """Count one verdict."""
        self.resources += 1
        self.valid += judged.valid
        for placed in judged.issues:
            self.severities[LEVELS[severity_of(placed.issue)]] += 1
            self.rules[rule_of(placed.issue)] += 1

    def plain(self) -> dict[str, Any]:
        """The numbers by name."""
        return {
            "files": self.files,
            "resources": self.resources,
            "valid": self.valid,
            "invalid": self.resources - self.valid,
            "errors": self.severities["error"],
            "warnings": self.severities["warning"],
            "information": self.severities["note"],
            "rules": dict(self.rules.most_common()),
        }

    def lines(self) -> list[str]:
        """The numbers as sentences, the commonest rules first."""
        said = self.plain()
        head = (
            f"{said['files']} file(s), {said['resources']} resource(s): "
            f"{said['valid']} valid, {said['invalid']} invalid; "
            f"{said['errors']} error(s), {said['warnings']} warning(s), {said['information']} note(s)"
        )
        return [head, *(f"{count:>8}  {rule}" for rule, count in self.rules.most_common())]


class Writer(Protocol):
    """One form of report. `file` comes before the resources of a file, `end` once when all is judged."""

    def file(self, name: str) -> None: ...
    def resource(self, judged: Judged) -> None: ...
    def end(self, summary: Summary) -> None: ...


class TextWriter:
    """A line for each finding: file:line:column, severity, rule, FHIRPath, sentence; the summary at the end."""

    def __init__(self, out: BinaryIO, language: str) -> None:
        self._out, self._language = out, language

    def file(self, name: str) -> None:
        pass

    def resource(self, judged: Judged) -> None:
        for placed in judged.issues:
            self._out.write(f"{line_of(judged, placed, self._language)}\n".encode())
        if judged.issues:
            self._out.flush()

    def end(self, summary: Summary) -> None:
        self._out.write(("\n".join(summary.lines()) + "\n").encode())
        self._out.flush()


class JsonWriter:
    """One object: `results`, an OperationOutcome for each resource with findings, and `summary`."""

    def __init__(self, out: BinaryIO, language: str) -> None:
        self._out, self._language = out, language
        self._between = b'{"results": [\n'

    def file(self, name: str) -> None:
        pass

    def resource(self, judged: Judged) -> None:
        if not judged.issues:
            return
        result = {
            "file": judged.file,
            "line": judged.line,
            "resourceType": judged.type or None,
            "valid": judged.valid,
            "count": judged.count,
            "outcome": outcome_of(judged.issues, self._language),
        }
        self._out.write(self._between + orjson.dumps(result))
        self._out.flush()
        self._between = b",\n"

    def end(self, summary: Summary) -> None:
        begun = self._between if self._between != b",\n" else b""
        self._out.write(begun + b'\n], "summary": ' + orjson.dumps(summary.plain()) + b"}\n")
        self._out.flush()


class JunitWriter:
    """A suite for each file, a case for each resource; errors are its failure, the rest its output.

    The numbers of a suite stand before its cases, so these wait in a temporary file.
    """

    def __init__(self, out: BinaryIO, language: str) -> None:
        self._out, self._language = out, language
        self._name = ""
        self._counts: Counter[str] = Counter()
        self._waiting: BinaryIO | None = None
        out.write(b'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="fhir-facade validate">\n')

    def file(self, name: str) -> None:
        self._close()
        self._name = name
        self._counts.clear()
        self._waiting = cast("BinaryIO", tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY))  # noqa: SIM115

    def resource(self, judged: Judged) -> None:
        if self._waiting is None:
            raise ValueError("a file comes before its resources")
        bad = [placed for placed in judged.issues if placed.issue.is_error]
        rest = [placed for placed in judged.issues if not placed.issue.is_error]
        named = f"{judged.type or 'text'}, line {judged.line}"
        parts = [f"<testcase classname={attribute_of(judged.file)} name={attribute_of(named)}>"]
        if bad:
            tag = "failure" if judged.readable else "error"
            self._counts[tag] += 1
            message = attribute_of(bad[0].issue.sentence(self._language))
            kind = attribute_of(rule_of(bad[0].issue))
            parts.append(f"<{tag} message={message} type={kind}>{self._text(judged, bad)}</{tag}>")
        if rest:
            parts.append(f"<system-out>{self._text(judged, rest)}</system-out>")
        self._counts["all"] += 1
        self._waiting.write(("".join(parts) + "</testcase>\n").encode())

    def end(self, summary: Summary) -> None:
        self._close()
        self._out.write(b"</testsuites>\n")
        self._out.flush()

    def _text(self, judged: Judged, issues: list[Placed]) -> str:
        return text_of("\n".join(line_of(judged, placed, self._language) for placed in issues))

    def _close(self) -> None:
        if self._waiting is None:
            return
        with self._waiting as waiting:
            numbers = (
                f'tests="{self._counts["all"]}" failures="{self._counts["failure"]}" '
                f'errors="{self._counts["error"]}" skipped="0"'
            )
            self._out.write(f"<testsuite name={attribute_of(self._name)} {numbers}>\n".encode())
            waiting.seek(0)
            shutil.copyfileobj(waiting, self._out)
            self._out.write(b"</testsuite>\n")
        self._waiting = None


class SarifWriter:
    """One run; the rules that were broken stand after the results, as the order of members is free."""

    def __init__(self, out: BinaryIO, language: str) -> None:
        self._out, self._language = out, language
        self._rules: dict[str, dict[str, Any]] = {}
        self._between = b""
        head = orjson.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0"})[:-1]
        out.write(head + b', "runs": [{"columnKind": "unicodeCodePoints", "results": [\n')

    def file(self, name: str) -> None:
        pass

    def resource(self, judged: Judged) -> None:
        for placed in judged.issues:
            self._out.write(self._between + orjson.dumps(self._result(judged, placed)))
            self._between = b",\n"

    def end(self, summary: Summary) -> None:
        driver = {
            "name": "fhir-facade",
            "version": __version__,
            "semanticVersion": __version__,
            "rules": list(self._rules.values()),
        }
        said = {"tool": {"driver": driver}, "properties": {"summary": summary.plain()}}
        self._out.write(b"\n], " + orjson.dumps(said)[1:] + b"]}\n")
        self._out.flush()

    def _result(self, judged: Judged, placed: Placed) -> dict[str, Any]:
        issue = placed.issue
        key = rule_of(issue)
        rule = self._rules.setdefault(key, self._rule(key, issue))
        region = {"startLine": placed.line or judged.line, "startColumn": placed.column or 1}
        location: dict[str, Any] = {
            "physicalLocation": {"artifactLocation": {"uri": uri_of(judged.file)}, "region": region}
        }
        if issue.at:
            location["logicalLocations"] = [{"fullyQualifiedName": issue.at, "kind": "member"}]
        result: dict[str, Any] = {
            "ruleId": key,
            "ruleIndex": list(self._rules).index(key),
            "level": LEVELS[severity_of(issue)],
            "message": {"text": issue.sentence(self._language)},
            "locations": [location],
        }
        if rule and issue.rule and issue.rule.source:
            result["properties"] = {"profile": issue.rule.profile, "element": issue.rule.element}
        return result

    def _rule(self, key: str, issue: Issue) -> dict[str, Any]:
        """A rule of the catalogue by its sentence; a constraint by what it says."""
        entry = CATALOGUE.get(key)
        if entry is None:
            text = issue.sentence(self._language)
        else:
            text = _PLACEHOLDER.sub("…", entry.nb if self._language == "nb" else entry.en)
        level = LEVELS[entry.severity if entry else severity_of(issue)]
        return {"id": key, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}


WRITERS: Mapping[str, type[TextWriter | JsonWriter | JunitWriter | SarifWriter]] = {
    "text": TextWriter,
    "json": JsonWriter,
    "junit": JunitWriter,
    "sarif": SarifWriter,
}


def severity_of(issue: Issue) -> str:
    """fatal, error, warning or information."""
    return issue.severity or issue.entry.severity


def rule_of(issue: Issue) -> str:
    """The key of the rule that an issue is of."""
    return issue.rule.key if issue.rule else issue.code


def line_of(judged: Judged, placed: Placed, language: str) -> str:
    """A finding in one line, with its place as compilers write it."""
    issue, line, column = placed
    at = f"{judged.file}:{line or judged.line}:{column or 1}"
    path = f" {issue.at}:" if issue.at else ":"
    source = f" [{issue.rule.source}]" if issue.rule and issue.rule.source else ""
    return f"{at}: {severity_of(issue)} {rule_of(issue)}{path} {issue.sentence(language)}{source}"


def uri_of(file: str) -> str:
    """A file's name as a URI reference, relative where the name is."""
    if file == STANDARD_INPUT:
        return "stdin"
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
