"""A site's own files laid over the shipped ones, so that a hospital changes three rows without a copy of the rest.

Both layers become one table per file, which is loaded and checked as if it had been written so. Lines of the site's
file go on behind SEAM in the joint table; `retold` and `placed` turn them back into a line of the site's file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from fhir_facade.mapping.findings import Finding, nearest
from fhir_facade.mapping.shapes import Shape, clean, kept, missing_keys, repeated_keys
from fhir_facade.yaml_text import Rows, SourceError, Table, Text, read

SEAM = 1_000_000
"""Greater than the number of lines of any file: a line behind it is a line of the site's file."""

SITE_MAPPING: Mapping[str, Shape] = {
    "extends": "text", "version": "text", "replace": "rows", "add": "rows", "remove": "rows", "ignore": "lookup",
    "meaning": "text", "profile": "text", "remainder": "text",
}  # fmt: skip
REMOVED: Mapping[str, Shape] = {"fhir": "text", "epj": "text", "each": "text", "ignore": "text"}
WHOLE = frozenset({"fields", "references", "systems", "extensions", "map"})
"""Tables whose entries are replaced whole; all other tables are joined key by key."""
WORDS = {"mapping": "mapping", "record": "record kind", "conceptmap": "code map"}

Any_ = TypeVar("Any_")


@dataclass(frozen=True, slots=True)
class Source:
    """A file's table and the name that findings give it; `site` is the site's file that was laid over it."""

    file: str
    table: Table
    site: str = ""


def sources(paths: Iterable[Path], site: Iterable[Path], label: str, key: str, findings: list[Finding]) -> list[Source]:
    """The files of one sort, the site's laid over: one of the same name replaces, one with `extends` changes.

    `key` is the head key that names what a file describes (record, conceptmap, mapping); `label` begins the names of
    the site's files in findings.
    """
    before = len(findings)
    shipped = {path.name: Source(path.name, table) for path in paths if (table := _read(path, path.name, findings))}
    sound, own = len(findings) == before, dict(shipped)
    for path in site:
        file = f"{label}/{path.name}"
        table = _read(path, file, findings)
        if table is None:
            continue
        if "extends" not in table:
            own[path.name] = Source(file, table)
            continue
        names = {str(source.table.get(key)): name for name, source in shipped.items()}
        extended = names.get(str(table["extends"]))
        if extended is None:
            if sound:
                said = f"no {WORDS[key]} '{table['extends']}' to extend{nearest(str(table['extends']), names)}"
                findings.append(Finding(file, table.at("extends"), said))
        elif own[extended].site or own[extended].file != extended:
            said = f"'{table['extends']}' is already changed by {own[extended].site or own[extended].file}"
            findings.append(Finding(file, table.at("extends"), said))
        else:
            faults: list[Finding] = []
            below, above = shipped[extended].table, shifted(table)
            joint = _mapping(below, above, faults) if key == "mapping" else laid_over(below, _without_extends(above))
            findings += [placed(found, {extended: file}, extended) for found in faults]
            own[extended] = Source(extended, joint, file)
    return [own[name] for name in sorted(own)]


def site_mapping_files(site: Path) -> list[Path]:
    """The files of a site that change a mapping or are one: all but those with a name of their own."""
    return [path for path in sorted(site.glob("*.yaml")) if path.name not in ("systems.yaml", "npr-melding.yaml")]


def _read(path: Path, file: str, findings: list[Finding]) -> Table | None:
    try:
        return read(path)
    except SourceError as error:
        findings.append(Finding(file, error.line, error.message))
        return None


def one_source(path: Path, site: Path | None, label: str) -> Source:
    """A file that there is one of, such as systems.yaml; the site's, where there is one, adds to it."""
    table = read(path)
    if site is None or not site.is_file():
        return Source(path.name, table)
    file = f"{label}/{site.name}"
    try:
        return Source(path.name, laid_over(table, shifted(read(site))), file)
    except SourceError as error:
        raise SourceError(file, error.line, error.message) from None


def shifted(tree: Any_) -> Any_:
    """The same tree with its lines behind the seam."""
    moved: Any
    match tree:
        case Text():
            moved = Text(tree, tree.line + SEAM)
        case Rows():
            moved = Rows(map(shifted, tree))
            moved.line = tree.line + SEAM
        case Table():
            moved = Table({key: shifted(value) for key, value in tree.items()})
            moved.line = tree.line + SEAM
            moved.lines = {key: line + SEAM for key, line in tree.lines.items()}
            moved.repeated = [(key, line + SEAM) for key, line in tree.repeated]
        case _:
            moved = tree
    return moved  # type: ignore[no-any-return]


def _without_extends(table: Table) -> Table:
    return kept(table, set(table) - {"extends"})


def laid_over(below: Table, above: Table, *, entries: bool = False) -> Table:
    """`below` with what `above` says: tables are joined, anything else is replaced.

    `entries` says that the values are entries such as fields, which are replaced whole.
    """
    out = Table(below)
    out.line, out.lines, out.repeated = below.line, dict(below.lines), [*below.repeated, *above.repeated]
    for key, value in above.items():
        there = below.get(key)
        if isinstance(value, Table) and isinstance(there, Table) and not entries:
            value = laid_over(there, value, entries=key in WHOLE)
        out[key] = value
        out.lines[key] = above.at(key)
    return out


def _mapping(below: Table, whole: Table, findings: list[Finding]) -> Table:
    """A mapping with rows replaced, added and removed."""
    file = "?"  # placed() names the file
    findings += repeated_keys(file, whole)
    findings += missing_keys(file, whole, ("extends", "version"))
    above = clean(file, whole, SITE_MAPPING, "a site mapping", findings)
    out = Table(below)
    out.line, out.lines, out.repeated = below.line, dict(below.lines), list(below.repeated)
    for key in {"meaning", "profile", "remainder"} & set(above):
        out[key], out.lines[key] = above[key], above.at(key)
    out["version"] = f"{below.get('version', '')}+{above.get('version', '')}"
    out.lines["mapping"] = above.at("extends")  # a field that goes nowhere now is the site's doing
    if isinstance(below.get("ignore", Table()), Table) and "ignore" in {*below, *above}:
        none = _nothing(above.line)
        out["ignore"] = laid_over(below.get("ignore", none), above.get("ignore", none))
        out.lines.setdefault("ignore", above.at("ignore"))
    rows = below.get("rules")
    if isinstance(rows, Rows):
        changed = _Rows(rows, out, findings)
        if "profile" in above:
            changed.without_profiles()
        for entry in above.get("remove", ()):
            changed.remove(entry)
        for row in above.get("replace", ()):
            changed.replace(row)
        out["rules"] = changed.rows([*above.get("add", ())])
    return out


def _nothing(line: int) -> Table:
    out = Table()
    out.line, out.lines, out.repeated = line, {}, []
    return out


class _Rows:
    """The rows of a mapping, found by the path that they write; those of groups too, those of list items not."""

    def __init__(self, rows: Rows, mapping: Table, findings: list[Finding]) -> None:
        self.tree, self.mapping, self.findings = _copied(rows), mapping, findings

    def report(self, line: int, message: str) -> None:
        self.findings.append(Finding("?", line, message))

    def rows(self, added: list[Any]) -> Rows:
        out = Rows([*_without_empty_groups(self.tree), *added])
        out.line = self.tree.line
        return out

    def without_profiles(self) -> None:
        """Take away the rows that declare profiles: they narrow the shipped one, which the site has put another for."""
        for rows, at in reversed(list(_places(self.tree))):
            if rows[at].get("fhir") == "meta.profile":
                del rows[at]

    def remove(self, entry: Any) -> None:
        """`path`, `{fhir: path, epj: field}`, `{fhir: path, each: list}` or `{ignore: field}`."""
        if isinstance(entry, Text):
            entry = _entry(entry)
        if not isinstance(entry, Table):
            self.report(getattr(entry, "line", SEAM + 1), "what is removed is a path, or {fhir: path, epj: field}")
            return
        faults: list[Finding] = []
        entry = clean("?", entry, REMOVED, "a removal", faults)
        self.findings += faults
        if faults:
            return
        if "ignore" in entry:
            ignored = self.mapping.get("ignore", {})
            name = str(entry["ignore"])
            if name not in ignored:
                self.report(entry.at("ignore"), f"'{name}' is not ignored{nearest(name, ignored)}")
            else:
                del ignored[name]
        elif (found := self._find(entry, "removed")) is not None:
            rows, at = found
            del rows[at]

    def replace(self, row: Any) -> None:
        """Put a row in the place of the one that writes the same path, under the guards of its group."""
        if not isinstance(row, Table):
            self.report(getattr(row, "line", SEAM + 1), "a row is a table such as {epj: ..., fhir: ...}")
        elif (found := self._find(row, "replaced")) is not None:
            rows, at = found
            rows[at] = row

    def _find(self, wanted: Table, verb: str) -> tuple[Rows, int] | None:
        """The list and place of the one row that an entry speaks of; a finding when there is none, or several."""
        path = str(wanted.get("fhir", ""))
        if not path:
            self.report(wanted.line, "a row needs 'fhir'")
            return None
        line, places = wanted.at("fhir"), list(_places(self.tree))
        found = [(rows, at) for rows, at in places if rows[at].get("fhir") == path]
        if not found:
            near = nearest(path, {str(rows[at].get("fhir")) for rows, at in places})
            self.report(line, f"no row writes '{path}', so none can be {verb}{near}")
            return None
        told = [key for key in ("epj", "each") if key in wanted]
        if len(found) > 1 or (verb == "removed" and told):
            same = [(rows, at) for rows, at in found if all(rows[at].get(key) == wanted[key] for key in told)]
            if len(same) != 1:
                names = ", ".join(_source_of(rows[at]) for rows, at in found)
                how = "remove {fhir: ..., epj: field} and add" if verb == "replaced" else "say {fhir: ..., epj: field}"
                self.report(line, f"'{path}' is written by rows of {names}: {how}")
                return None
            found = same
        return found[0]


def _source_of(row: Table) -> str:
    return str(row.get("each") or row.get("epj") or "a constant")


def _entry(path: Text) -> Table:
    out = _nothing(path.line)
    out["fhir"], out.lines["fhir"] = path, path.line
    return out


def _places(rows: Rows) -> Iterable[tuple[Rows, int]]:
    """(list, index) of every row that writes a path, those inside groups too."""
    for at, row in enumerate(rows):
        if isinstance(row, Table) and "fhir" in row:
            yield rows, at
        elif isinstance(row, Table) and isinstance(row.get("rules"), Rows):
            yield from _places(row["rules"])


def _copied(rows: Rows) -> Rows:
    """The lists of rows and groups anew, so that the shipped table stays as it was."""
    out = Rows()
    out.line = rows.line
    for row in rows:
        if isinstance(row, Table) and "fhir" not in row and isinstance(row.get("rules"), Rows):
            group = Table(row)
            group.line, group.lines, group.repeated = row.line, row.lines, row.repeated
            group["rules"] = _copied(row["rules"])
            row = group
        out.append(row)
    return out


def _without_empty_groups(rows: Rows) -> list[Any]:
    return [row for row in rows if not (isinstance(row, Table) and row.get("rules") == [] and "fhir" not in row)]


def placed(found: Finding, seams: Mapping[str, str], file: str = "") -> Finding:
    """A finding where its line really stands; `seams` has the site's file for each file that was changed."""
    file = file or found.file
    if found.line > SEAM and file in seams:
        return replace(found, file=seams[file], line=found.line - SEAM)
    return replace(found, file=file)


def retold(value: Any_, site: str) -> Any_:
    """A rule, kind or code map with every `at` behind the seam turned into a line of the site's file."""
    told: Any = value
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for each in fields(value):
            old = getattr(value, each.name)
            new = seen_at(old, site) if each.name == "at" else retold(old, site)
            if new is not old:
                changed[each.name] = new
        told = replace(value, **changed) if changed else value
    elif isinstance(value, tuple) and not all(isinstance(item, str) for item in value):
        items = [retold(item, site) for item in value]
        told = tuple(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    elif isinstance(value, dict) and any(is_dataclass(item) for item in value.values()):
        told = {key: retold(item, site) for key, item in value.items()}
    return told  # type: ignore[no-any-return]


def seen_at(at: str, site: str) -> str:
    """A file:line as it really stands: behind the seam it is one of the site's file."""
    line = int(at.rpartition(":")[2])
    return f"{site}:{line - SEAM}" if line > SEAM else at
