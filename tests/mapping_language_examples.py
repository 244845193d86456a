"""The constructs of docs/mapping-language.md: their examples, read out of the page, built and run both ways."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import orjson
import yaml

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.compare import bare, merge, normalised, same_value
from fhir_facade.mapping.goldens import own_entries
from fhir_facade.mapping.json_paths import ABSENT, differences
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet, load_mapping_set
from fhir_facade.mapping.put import Written, resolver
from fhir_facade.mapping.take import take
from fhir_facade.outcome import Issue
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "mapping-language.md"
TEXT = PAGE.read_text("utf-8")
FENCE = re.compile(r"^```(yaml|json|text)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"# (frame|rows|also|site|kind|systems|codes)(?: ([\w-]+))?(?:: (\w+) (\w+))?\n").match
Way = Literal["both", "get", "put"]


@dataclass(frozen=True)
class Case:
    """One example that runs: a record, a resource, and the direction in which one is made of the other."""

    name: str
    said: Mapping[str, Any]

    @property
    def way(self) -> Way:
        return cast(Way, self.said.get("way", "both"))

    @property
    def issues(self) -> list[str]:
        return list(self.said.get("issues", ()))


@dataclass
class Section:
    """One construct: the words of the language in its heading, its text, its blocks of YAML and its examples."""

    heading: str
    text: str
    blocks: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        return re.findall(r"`([\w-]+)`", self.heading)

    @property
    def laws(self) -> str:
        found = re.search(r"^\| Laws \| (.+) \|$", self.text, re.MULTILINE)
        return found[1] if found else ""


def sections(text: str) -> list[Section]:
    """The constructs of a page, in order."""
    whole = text.partition("\n## Constructs, one by one\n")[2].partition("\n## ")[0]
    out = []
    for part in whole.split("\n### ")[1:]:
        section = Section(part.partition("\n")[0], part)
        for language, info, body in FENCE.findall(part):
            if language == "yaml":
                section.blocks.append(body)
            elif info.startswith(" case "):
                section.cases.append(Case(info.removeprefix(" case "), json.loads(body)))
        out.append(section)
    return out


SECTIONS = sections(TEXT)
YAML = [body for language, _, body in FENCE.findall(TEXT) if language == "yaml"]
FRAMES = {
    info.removeprefix(" frame "): json.loads(body)
    for language, info, body in FENCE.findall(TEXT)
    if language == "json" and info.startswith(" frame ")
}


@dataclass(frozen=True)
class Block:
    """A YAML block with its head: `# rows plain: card Patient`."""

    sort: str
    name: str
    kind: str
    resource: str
    body: str


def blocks() -> Iterator[Block]:
    for text in YAML:
        if found := HEAD(text):
            sort, name, kind, resource = (found[at] or "" for at in range(1, 5))
            yield Block(sort, name, kind, resource, text[found.end() :])


def file_of(block: Block, frame: str, ignored: list[str]) -> str:
    """The mapping file that some rows stand for: with its head, the id, the frame and a reason for what is left out."""
    rows, rest = block.body, ""
    if not rows.startswith("- "):
        rest, rows = rows.split("rules:\n")
    own = "" if re.search(r"as: id\b(?!e)", rows) else "- {epj: $key, fhir: id, as: id}\n"
    own += "".join(f"{row}\n" for row in frame.splitlines() if written(row) not in map(written, rows.splitlines()))
    head = f"mapping: {block.kind}-{block.resource.lower()}\nversion: 1.0.0\nepj: {block.kind}\n"
    head += f"fhir: {block.resource}\n"
    if "ignore:" not in rest and ignored:
        rest += "ignore:\n" + "".join(f"  {name}: not in this example\n" for name in ignored)
    indented = "".join(f"  {row}\n" for row in (own + rows).splitlines())
    return f"{head}{rest}rules:\n{indented}"


def written(row: str) -> str:
    found = re.search(r"fhir: ([^,}]+)", row)
    return found[1] if found else ""


def unspoken(block: Block, frame: str) -> list[str]:
    """The fields of a kind that rows do not speak of, those of its lists too."""
    text = next(each.body for each in blocks() if each.sort == "kind" and each.name == block.kind)
    above, _, lists = text.partition("\nchildren:\n")
    key = re.findall(r"\w+", re.findall(r"^key: \[(.*)\]", text, re.MULTILINE)[0])
    spoken = set(re.findall(r"\w+", block.body + frame)) | set(key)
    out = [name for name in re.findall(r"^  (\w+): \{type", above, re.MULTILINE) if name not in spoken]
    for listed in re.split(r"^  (?=\w+:\n)", lists, flags=re.MULTILINE):
        name = listed.partition(":")[0]
        if name and f"each: {name}" not in block.body:
            out.append(name)
        elif name:
            inner = re.findall(r"^      (\w+): \{type", listed, re.MULTILINE)
            out += [f"{name}.{each}" for each in inner if each not in spoken]
    return out


def written_out(name: str, folder: Path) -> None:
    """Write the mappings of one example, and a site's changes, into a folder."""
    (folder / "site" / "codes").mkdir(parents=True)
    (folder / "records").mkdir()
    shutil.copytree(SHIPPED / "codes", folder / "codes")
    shutil.copy(SHIPPED / "systems.yaml", folder)
    frames = {f"{each.kind} {each.resource}": each.body for each in blocks() if each.sort == "frame"}
    made = [each for each in blocks() if each.name == name and each.sort in ("rows", "also")]
    for each in blocks():
        if each.sort == "kind":
            (folder / "records" / f"{each.name}.yaml").write_text(each.body, "utf-8")
        elif each.sort == "codes":
            (folder / "codes" / f"{each.name}.yaml").write_text(each.body, "utf-8")
        elif each.sort == "site" and each.name == name:
            (folder / "site" / "changes.yaml").write_text(each.body, "utf-8")
    (folder / "site" / "systems.yaml").write_text(json.dumps(own_systems()), "utf-8")
    if not any(each.resource == "Patient" for each in made):
        made.append(Block("also", name, "card", "Patient", '- {epj: family, fhir: "name[main].family"}\n'))
    for each in made:
        frame = frames.get(f"{each.kind} {each.resource}", "")
        text = file_of(each, frame, unspoken(each, frame))
        (folder / f"{each.kind}.{each.resource.lower()}.yaml").write_text(text, "utf-8")


def texts(body: str) -> Any:
    """YAML read as texts only, as the product reads it: `on` is no boolean."""
    return yaml.load(body, yaml.BaseLoader)  # noqa: S506 - makes nothing but texts


def own_systems() -> dict[str, dict[str, Any]]:
    """What the page adds to the shipped systems, of all its blocks."""
    out: dict[str, dict[str, Any]] = {}
    for each in blocks():
        for name, entries in texts(each.body).items() if each.sort == "systems" else ():
            out.setdefault(name, {}).update(entries)
    return out


@cache
def mapping_set(name: str, folder: Path) -> MappingSet:
    """The mappings of one example, loaded once."""
    written_out(name, folder)
    return load_mapping_set(folder, folder / "site")


def main(name: str) -> Block:
    """The rows that an example runs."""
    return next(each for each in blocks() if each.sort == "rows" and each.name == name)


def mapping_of(name: str, folder: Path) -> CompiledMapping:
    block = main(name)
    return mapping_set(name, folder / name).mappings[f"{block.kind}-{block.resource.lower()}"]


def framed(case: Case, part: str) -> Any:
    """A part of an example with what its frame has, None where it says null or nothing."""
    block, own = main(case.name), case.said.get(part)
    frame = FRAMES[f"{block.kind} {block.resource}"]["resource" if part == "resource" else "record"]
    return None if own is None else {name: held for name, held in {**frame, **own}.items() if held is not None}


Renders = Callable[[Record], tuple[Resource, list[str]]]


def renders(mapping: CompiledMapping) -> list[tuple[str, Renders]]:
    """The engines from a record to FHIR: the judge and the two compiled ones."""

    def by(engine: Any) -> Renders:
        def render(record: Record) -> tuple[Resource, list[str]]:
            issues: list[Issue] = []
            made = engine(mapping.kinds.complete(mapping.kind, record), issues)
            return bare(orjson.loads(made) if isinstance(made, bytes) else made), told(issues)

        return render

    return [(name, by(getattr(mapping, name))) for name in ("interpret", "to_fhir", "to_bytes")]


def judge(mapping: CompiledMapping) -> CompiledMapping:
    """The same mapping without compiled code: rows are read one by one, and rendered by the interpreter."""
    plain = replace(mapping)
    putting = replace(mapping.putting, to_fhir=mapping.interpret, reads=lambda resource, resolve: None)
    plain.__dict__["putting"] = putting
    return plain


def read_twice(mapping: CompiledMapping, resource: Resource) -> bool:
    """Whether the compiled reader reads a resource, which the interpreter then reads the same; else it gives up."""
    find = resolver(mapping.kind, None, None)
    quick = mapping.putting.reads(resource, find)
    taken, _ = take(mapping.rules, mapping.kind, resource, find)
    assert quick is None or fields(mapping, quick) == fields(mapping, taken)
    return quick is not None


def put(mapping: CompiledMapping, resource: Resource, base: Record | None) -> Written:
    stored = None if base is None else mapping.kinds.complete(mapping.kind, base)
    return mapping.to_record(resource, stored)


def told(issues: Any) -> list[str]:
    """Issues as the page has them: the code, and the element where one is named."""
    return sorted(f"{issue.code} {issue.at}".strip() for issue in issues)


def fields(mapping: CompiledMapping, record: Record | None) -> Record | None:
    """What a record says by itself; an empty list is as good as none."""
    return None if record is None else own_entries(record, mapping.kind)


def silent(mapping: CompiledMapping, sent: Resource, written: Written) -> list[str]:
    """Where a sent resource does not come back and nobody is told: the law PutGet asks for none."""
    assert written.record is not None
    given = mapping.to_fhir(mapping.kinds.complete(mapping.kind, written.record), [])
    whole, _ = merge(bare(given), written.remainder or {})
    known = [each.path for each in written.elements if each.status not in ("accepted", "kept")]
    root = mapping.resource_type
    return [
        place.path
        for place in differences(normalised(sent, mapping.words.canonical, ""), whole, root, root)
        if place.expected != ABSENT and not same_value(place.expected, place.got)
        if not any(place.path == path or place.path.startswith((f"{path}.", f"{path}[")) for path in known)
    ]
