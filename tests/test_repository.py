"""The rules of the house that no other tool keeps: sizes, names, versions, and no person in any file."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

import fhir_facade
from fhir_facade.definitions import definitions
from fhir_facade.mapping.columns import column_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fhir_facade"
MODULES = sorted(PACKAGE.rglob("*.py"))

MODULE_LINES = 400
FUNCTION_LINES = 60
CONTAINER_WORDS = frozenset({"utils", "helpers", "common", "misc", "manager", "base"})
UNREAD = frozenset(
    {".git", ".venv", ".venv-bench", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "build"}
)
MACHINE_PATH = re.compile("/" + "(?:work|root|farm)/")  # in two parts, so that this line is not one

COMES_WITH = {"starlette": "fastapi"}
FOUND_BY_UVICORN = {"uvloop", "httptools"}

PUBLISHED_NUMBERS = {
    "02013299997": "Skatteetaten, example of a number issued from 2032",
    "30108299920": "Skatteetaten, example of a number issued after 2032",
    "30108299939": "Skatteetaten, passes the rule of 2032 only",
    "15688512120": "month + 65, the synthetic numbers of Norsk helsenett; made for tests",
    "55688512033": "D-number with month + 65; made for tests",
    "15438512184": "month + 40, a hospital's own number; made for tests",
}


# ---- files


def tracked() -> list[Path]:
    """Every file that is, or would be, in the repository."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        arguments = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        paths = {ROOT / name for name in listed.split("\0") if name}
    else:
        paths = {path for path in ROOT.rglob("*") if not UNREAD.intersection(path.relative_to(ROOT).parts)}
    return sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of every tracked file that is text."""
    for path in tracked():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- sizes and names


def test_the_repository_is_seen() -> None:
    names = {name for name, _ in texts()}
    assert {"pyproject.toml", "README.md", "fhir_facade/__init__.py", "tests/test_repository.py"} <= names
    assert len(MODULES) > 30


def test_no_module_is_too_long() -> None:
    lengths = {named(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_no_function_is_too_long() -> None:
    too_long = [
        f"{named(path)}:{node.lineno} {node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert too_long == []


def test_no_module_is_named_as_a_container() -> None:
    parts = [(path, set(path.relative_to(ROOT).with_suffix("").parts)) for path in MODULES]
    assert [named(path) for path, words in parts if words & CONTAINER_WORDS] == []


def identifiers(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name that code gives or uses, with its line."""
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.keyword(arg=str(name)):
                yield name, node.value.lineno


def test_public_names_are_ascii() -> None:
    strange = [
        f"{named(path)}:{line} {name}"
        for path in MODULES
        for name, line in identifiers(tree(path))
        if not name.isascii() and not name.startswith("_")
    ]
    assert strange + [named(path) for path in MODULES if not path.name.isascii()] == []


# ---- record words stay in mappings


@cache
def field_names() -> frozenset[str]:
    """Every field of every record kind, as its file spells it, and as a column."""
    found: set[str] = set()

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(fields := node.get("fields"), dict):
                found.update(map(str, fields))
            for below in node.values():
                collect(below)

    for path in sorted((ROOT / "mappings" / "records").glob("*.yaml")):
        collect(yaml.safe_load(path.read_text("utf-8")))
    return frozenset(found | {column_name(name) for name in found})


@cache
def element_names() -> frozenset[str]:
    """Every element name of R4 that a resource can have, at any depth."""
    r4 = definitions()
    names: set[str] = set()
    seen: set[str] = set()
    waiting = list(r4.resource_types)
    while waiting:
        path = waiting.pop()
        for name in r4.children(path):
            names.add(name)
            element = r4.element(f"{path}.{name}")
            if element is not None and element.path not in seen:
                seen.add(element.path)
                waiting.append(f"{path}.{name}")
    return frozenset(names)


def docstrings(module: ast.Module) -> set[int]:
    """Which string nodes are documentation: those that are a statement of their own."""
    return {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}


def record_words(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Field names that stand as an identifier, or as a literal or a part of a path in one."""
    forbidden = field_names() - element_names()
    spared = docstrings(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spared:
            parts = [] if re.search(r"\s", node.value) else re.split(r"[.@/#^]", node.value)
            yield from ((part, node.lineno) for part in parts if part in forbidden)
    yield from ((name, line) for name, line in identifiers(module) if name in forbidden)


def test_no_field_name_stands_in_python() -> None:
    assert len(field_names()) > 150
    assert {"status", "period", "valueQuantity"} <= element_names()
    found = [
        f"{named(path)}:{line} {word}"
        for path in MODULES
        if not path.name.startswith("synthetic")
        for word, line in record_words(tree(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    ['record["innDatoTid"]', 'x = "Episode@innDatoTid"', "f(inn_dato_tid=1)", "episodeID = 1", "a.pasientNr"],
)
def test_a_field_name_would_be_found(code: str) -> None:
    assert list(record_words(ast.parse(code)))


# ---- documents


def glossary_types() -> dict[str, set[str]]:
    """Record kind → the resource types that its glossary row names."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)
    return {kind: set(re.findall(r"[A-Za-z]+", types)) for kind, types in rows}


def test_every_kind_has_a_glossary_row_with_its_resource_types() -> None:
    kinds = {path.stem for path in (ROOT / "mappings" / "records").glob("*.yaml")}
    expected: dict[str, set[str]] = {kind: set() for kind in kinds}
    for path in (ROOT / "mappings").glob("*.yaml"):
        mapping = yaml.safe_load(path.read_text("utf-8"))
        if "epj" in mapping:
            expected[mapping["epj"]].add(mapping["fhir"])
    said = glossary_types()
    assert {kind: said.get(kind) for kind in expected} == expected


def project() -> dict[str, Any]:
    parsed: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return parsed


def test_the_version_is_the_same_everywhere() -> None:
    headings = re.findall(r"^## .*?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == project()["version"] == fhir_facade.__version__


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for name, text in texts():
        if name.endswith(".md"):
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
                if not (ROOT / name).parent.joinpath(target).exists():
                    broken.append(f"{name}: {target}")
    assert broken == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda path: path.stem)
def test_a_decision_record_is_whole(path: Path) -> None:
    text = path.read_text("utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] == "Context"
    assert headings[-1] == "Status"
    assert {"Options", "Decision", "Consequences", "Verification"} <= set(headings)
    assert text.startswith(f"# {path.stem[:4]} ")


# ---- dependencies


def imported() -> set[str]:
    """Top-level names of what the package imports from elsewhere."""
    names: set[str] = set()
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"fhir_facade"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    declared = {normal(re.split(r"[<>=;\[ ]", line)[0]) for line in project()["dependencies"]}
    carriers = packages_distributions()
    used = {normal(COMES_WITH.get(name) or carriers.get(name, [name])[0]) for name in imported()}
    assert used | FOUND_BY_UVICORN == declared


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==(\S+)", lines, re.MULTILINE))


def test_the_locks_agree_and_hold_what_is_declared() -> None:
    run, dev = pins("run.txt"), pins("dev.txt")
    assert run.items() <= dev.items()
    groups = {"run.txt": ["build"], "dev.txt": ["build", "dev"], "bench.txt": ["build", "bench"]}
    for name, extras in groups.items():
        wanted = [*project()["dependencies"]]
        for extra in extras:
            wanted += project()["optional-dependencies"][extra]
        assert {normal(re.split(r"[<>=;\[ ]", line)[0]) for line in wanted} <= set(map(normal, pins(name)))


# ---- no machine and no person


def test_no_path_of_a_machine_stands_in_a_file() -> None:
    found = [
        f"{name}: {line.strip()[:80]}"
        for name, text in texts()
        for line in text.splitlines()
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def control_digits_fit(number: str) -> bool:
    """Modulus 11 with both weight rows; the first digit also by the rule of 2032 (remainder 0 to 3)."""
    digits = [int(digit) for digit in number]
    first = sum(w * d for w, d in zip((3, 7, 6, 1, 8, 9, 4, 5, 2, 1), digits, strict=False)) % 11
    second = sum(w * d for w, d in zip((5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), digits, strict=True)) % 11
    return first <= 3 and second == 0


def has_date(number: str) -> bool:
    day, month, year = int(number[:2]), int(number[2:4]), 2000 + int(number[4:6])
    for shift in (0, 40, 65, 80):
        try:
            date(year, month - shift, day - 40 if day > 40 else day)
        except ValueError:
            continue
        return True
    return False


def may_be_a_person(number: str) -> bool:
    """Whether a number could be somebody's: valid, and not marked as synthetic by month + 80."""
    synthetic = 81 <= int(number[2:4]) <= 92
    return control_digits_fit(number) and has_date(number) and not synthetic and number not in PUBLISHED_NUMBERS


def person_numbers(text: str) -> list[str]:
    """Numbers in a text that could be somebody's; digests are left out, their digits mean nothing."""
    plain = re.sub(r"[0-9a-f]{32,}", "", text)
    return [number for number in re.findall(r"(?<!\d)\d{11}(?!\d)", plain) if may_be_a_person(number)]


def test_no_person_number_stands_in_a_file() -> None:
    assert {name: found for name, text in texts() if (found := person_numbers(text))} == {}


def test_a_real_number_would_be_found() -> None:
    heads = ["010190", "410190"]  # born on the first day of 1990, as birth number and as D-number
    for head in heads:
        valid = [f"{head}{tail:05}" for tail in range(100_000) if control_digits_fit(f"{head}{tail:05}")]
        assert len(valid) > 1000
        assert person_numbers(f"fnr={valid[500]};") == [valid[500]]
    assert person_numbers("15838512086") == []
