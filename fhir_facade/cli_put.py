"""The command `fhir-facade put`: FHIR resources written back into stored records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from fhir_facade.mapping.put import Policy, Written
from fhir_facade.outcome import Issue, operation_outcome
from fhir_facade.terminal import (
    FAILED,
    FOUND,
    Database,
    faults_are_told,
    mapping_set_of,
    now,
    open_store,
    say,
    settings_with,
    stop,
)


class PolicyName(StrEnum):
    """What becomes of elements that no mapping row takes."""

    keep = "keep"
    reject = "reject"
    warn = "warn"


class Form(StrEnum):
    """How the answer is printed."""

    text = "text"
    json = "json"


def put(
    file: Annotated[Path, typer.Argument(help="A FHIR resource as JSON, or one on each line; - reads standard input.")],
    db: Database,
    policy: Annotated[
        PolicyName | None, typer.Option(help="Keep what no row takes beside the record, reject it, or warn of it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge, and store nothing.")] = False,
    format: Annotated[Form, typer.Option(help="text, or OperationOutcome as JSON.")] = Form.text,
    mappings: Annotated[Path | None, typer.Option("--mappings", metavar="DIR", help="Mappings of your own.")] = None,
    site: Annotated[Path | None, typer.Option("--site", metavar="DIR", help="A site's changes to them.")] = None,
) -> None:
    """Write FHIR resources back into their records, and say of each element what became of it.

    A resource is stored whole or not at all. It ends with 1 when one of them was refused.

    \b
    Example:
      fhir-facade put encounter.json --db hospital.db --policy reject
    """
    from fhir_facade.writing_back import write_back

    with faults_are_told():
        settings = settings_with(mappings=mappings, site_mappings=site)
        mapping_set = mapping_set_of(settings.mappings, settings.site_mappings)
        store = open_store(db, mapping_set, must_exist=True)
        refused = stored = 0
        for line, resource in resources(file):
            if isinstance(resource, Issue):
                written = Written(None, None, (), (resource,))
            else:
                chosen: Policy | None = policy.value if policy else None
                written = write_back(
                    store, mapping_set, resource, now(),
                    policy=chosen, otherwise=settings.remainder, dry_run=dry_run,
                )  # fmt: skip
            tell(written, resource, line, format, dry_run=dry_run)
            refused += written.record is None
            stored += written.record is not None
        store.close()
    if not refused + stored:
        raise stop(FAILED, f"{file}: there is no resource in it")
    if refused + stored > 1:
        say(f"{stored} {'would be stored' if dry_run else 'stored'}, {refused} refused")
    if refused:
        raise typer.Exit(FOUND)


def resources(file: Path) -> Iterator[tuple[int, Any]]:
    """The resources of a file with the line each begins on: the whole file, or one on each line."""
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        yield 1, orjson.loads(content)
        return
    except orjson.JSONDecodeError as fault:
        first, lines = fault, content.splitlines()
    if sum(bool(line.strip()) for line in lines) < 2 or not _is_json(lines[0]):
        yield first.lineno, Issue("line-not-json", f"line {first.lineno}", {"reason": first.msg})
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, orjson.loads(line)
            except orjson.JSONDecodeError as fault:
                yield number, Issue("line-not-json", f"line {number}", {"reason": fault.msg})


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def tell(written: Written, resource: Any, line: int, form: Form, *, dry_run: bool) -> None:
    """Print what became of one resource: a sentence for what was not simply taken, then each element."""
    if form is Form.json:
        issues = written.issues or (Issue("resource-stored", ""),)
        sys.stdout.write(orjson.dumps(operation_outcome(issues)).decode() + "\n")
        return
    named = f"{resource.get('resourceType')}/{resource.get('id', '(new)')}" if isinstance(resource, dict) else "?"
    done = "refused" if written.record is None else "would be stored" if dry_run else "stored"
    version = (written.record or {}).get("$key", "")
    sys.stdout.write(f"line {line}: {named}: {done}{f' as {version}' if version and 'new' in named else ''}\n")
    for element in written.elements:
        if element.status != "accepted":
            sys.stdout.write(f"  {element.status:<9} {element.path}\n")
    for issue in written.issues:
        sys.stdout.write(f"  {issue}\n")
