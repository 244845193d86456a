"""The commands of `fhir-facade mapping`: what an author of mappings does with them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer

from fhir_facade.mapping.findings import nearest
from fhir_facade.store.location import Location
from fhir_facade.terminal import (
    FAILED,
    FOUND,
    database,
    faults_are_told,
    mapping_set_of,
    settings_with,
    stop,
    whole_file,
)

if TYPE_CHECKING:
    from fhir_facade.mapping.differ import Comparison, Sample
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
    from fhir_facade.mapping.site_examples import Judges
    from fhir_facade.store.records import Store

mapping_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Write, prove and compare mappings.")


@mapping_app.callback()
def _mapping() -> None:
    pass


Name = Annotated[str | None, typer.Argument(help="One mapping; all when left out.")]
Folder = Annotated[Path | None, typer.Option("--mappings", metavar="DIR", help="A mappings folder; ours if left out.")]
Site = Annotated[
    Path | None, typer.Option("--site", metavar="DIR", help="A folder of a site's changes to the mappings.")
]


@mapping_app.command("test")
def test_examples(name: Name = None, mappings: Folder = None, site: Site = None) -> None:
    """Prove mappings on the examples beside them, in both directions and by every engine.

    Says for each example what differs: FHIRPath, expected, got. A row, branch, guard, list or unknown code that no
    example shows is a finding too. Nothing is written. A mapping that a site changes is judged by the site's own
    examples, and skipped where it has none.

    \b
    Examples:
      fhir-facade mapping test
      fhir-facade mapping test opphold-encounter --site nord/
    """
    from fhir_facade.mapping.site_examples import proofs

    mapping_set, chosen = _judged(mappings, name, site)
    examples, held, faulty = 0, 0, 0
    for mapping, found in chosen:
        made = list(proofs(mapping_set, found, mapping))
        for line in (*filter(None, [found.skipped]), *(line for proof in made for line in proof.lines())):
            typer.echo(line)
        examples += sum(proof.examples for proof in made)
        faulty += not all(proof.holds for proof in made)
        held += bool(made)
    if faulty:
        raise stop(FOUND, f"{faulty} of {held} mapping(s) do not hold; {examples} example(s)")
    typer.echo(f"{examples} example(s) of {held} mapping(s): all hold")


@mapping_app.command("accept")
def accept_examples(name: Name = None, mappings: Folder = None, site: Site = None) -> None:
    """Take what the mappings do now as right: write resources and issues of the examples anew.

    Shows what changes. Records (.epj.json) and examples from outside (.fhir-in.json) are never changed. Of a mapping
    that a site changes only the site's own examples are written.

    \b
    Examples:
      fhir-facade mapping accept opphold-encounter
      fhir-facade mapping accept opphold-encounter --site nord/
    """
    from fhir_facade.mapping.site_examples import accepted

    mapping_set, chosen = _judged(mappings, name, site)
    files = 0
    with faults_are_told():
        for mapping, found in chosen:
            if found.skipped:
                typer.echo(found.skipped)
            for written in accepted(mapping_set, found, mapping):
                files += 1
                typer.echo(f"{written.file}: {'taken away' if written.gone else 'written'}")
                for place in written.places:
                    typer.echo(f"  {place}")
    typer.echo(f"{files} file(s) changed")


@mapping_app.command("table")
def table_of_mappings(
    name: Name = None,
    form: Annotated[Literal["text", "html", "csv", "json"], typer.Option("--format", help="How to print it.")] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write it here; standard output when left out.")
    ] = None,
    mappings: Folder = None,
) -> None:
    """Print a mapping as a table: FHIR path, datatype, field, kind, codes, guards, direction, file and line.

    Behind the rows stands where every field of the record goes, or why it is not mapped.

    \b
    Examples:
      fhir-facade mapping table opphold-encounter
      fhir-facade mapping table --format html --output mappings.html
    """
    from fhir_facade.mapping.docs_prints import PRINTS
    from fhir_facade.mapping.to_docs import mapping_table

    _, mapping_set, chosen = _chosen(mappings, name)
    _, prints = PRINTS[form]
    with faults_are_told(), whole_file(output or Path("-")) as file:
        file.write(prints([mapping_table(mapping, mapping_set.kinds) for mapping in chosen]))


def _judged(
    folder: Path | None, name: str | None, site: Path | None
) -> tuple[MappingSet, list[tuple[CompiledMapping, Judges]]]:
    """The mappings of a folder, and those that were asked for with the examples that judge them."""
    from fhir_facade.mapping.site_examples import judges

    folder, mapping_set, chosen = _chosen(folder, name, site)
    settings = settings_with()
    found = judges(mapping_set, folder, site or settings.site_mappings, settings.profiles)
    return mapping_set, [(mapping, found[mapping.name]) for mapping in chosen]


def _chosen(
    folder: Path | None, name: str | None, site: Path | None = None
) -> tuple[Path, MappingSet, list[CompiledMapping]]:
    """The folder, its mappings, and those that were asked for; ends with 2 when there is no such mapping."""
    folder = folder or settings_with().mappings
    mapping_set = _loaded(folder, site)
    known = mapping_set.mappings
    if name is not None and name not in known:
        raise stop(FAILED, f"there is no mapping '{name}'{nearest(name, known)}; known: {', '.join(sorted(known))}")
    return folder, mapping_set, [mapping for mapping in known.values() if name in (None, mapping.name)]


def _loaded(folder: Path, site: Path | None = None) -> MappingSet:
    if not folder.is_dir():
        raise stop(FAILED, f"{folder}: there is no such folder")
    with faults_are_told():
        return mapping_set_of(folder, site)


@mapping_app.command("export")
def export_mappings(
    name: Name = None,
    direction: Annotated[
        Literal["to-fhir", "from-fhir", "both"], typer.Option(help="Which way the StructureMaps go.")
    ] = "both",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="A file for each; else one Bundle is printed.")
    ] = None,
    mappings: Folder = None,
) -> None:
    """Write mappings as R4 StructureMaps and their code maps as ConceptMaps, JSON, for readers who know the standard.

    For reading only: the facade runs its own mapping files, and what R4's transforms cannot say stands as words.

    \b
    Examples:
      fhir-facade mapping export opphold-encounter --direction to-fhir
      fhir-facade mapping export --output maps/
    """
    from fhir_facade.mapping.structure_map import WAYS, exported

    _, mapping_set, chosen = _chosen(mappings, name)
    ways = tuple(way for way in WAYS if direction in (way, "both"))
    found = [one for each in chosen for one in exported(each.rules, ways, mapping_set.kinds, mapping_set.vocabulary)]
    resources = {f"{one['resourceType']}-{one['id']}": one for one in found}  # a code map may serve several mappings
    if output is None:
        entries = [{"fullUrl": one["url"], "resource": one} for one in resources.values()]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        typer.echo(orjson.dumps(bundle, option=orjson.OPT_INDENT_2).decode())
        return
    with faults_are_told():
        output.mkdir(parents=True, exist_ok=True)
        for title, one in resources.items():
            file = output / f"{title}.json"
            file.write_bytes(orjson.dumps(one, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    typer.echo(f"{len(resources)} file(s) written to {output}")


@mapping_app.command("diff")
def diff_mappings(
    old: Annotated[Path, typer.Argument(help="The mappings folder before.")],
    new: Annotated[Path, typer.Argument(help="The mappings folder after.")],
    db: Annotated[
        Location | None,
        typer.Option("--db", metavar="PATH|URL", parser=database, help="Compare by the records stored here too."),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="At most so many stored records a kind; 0 is all.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Chooses the sample; made up, and told, when left out.")] = None,
    output: Annotated[Literal["text", "json"], typer.Option("--format", help="How to say it.")] = "text",
) -> None:
    """Say what a change of mappings changes in the resources, and which version each mapping needs.

    Both folders render the examples of both and, with --db, stored records. Something removed or changed needs a
    major version, something added a minor one, anything else a patch. Ends with 1 when a version was not raised
    enough. Resources are not shown, only places, counts and the key of one record for each.

    \b
    Examples:
      fhir-facade mapping diff mappings-1/ mappings/
      fhir-facade mapping diff mappings-1/ mappings/ --db hospital.db --sample 500 --format json
    """
    from fhir_facade.mapping.differ import compare, samples_of_examples

    sets = (_loaded(old), _loaded(new))
    seed = secrets.randbelow(10**9) if seed is None else seed
    with faults_are_told():

        def samples() -> Iterator[Sample]:
            seen = set[Any]()
            for folder, mapping_set in zip((old, new), sets, strict=True):
                for each in samples_of_examples(folder, mapping_set):
                    same = (each.kind, orjson.dumps(each.record, option=orjson.OPT_SORT_KEYS))
                    if same not in seen:
                        seen.add(same)
                        yield each
            if db is not None:
                yield from _stored(db, sets, sample, seed)

        comparison = compare(*sets, new, samples())
    if output == "json":
        said = comparison.as_json() | ({"seed": seed} if db and sample else {})
        typer.echo(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode())
    else:
        if db and sample:
            typer.echo(f"at most {sample} stored record(s) a kind, seed {seed}")
        _tell(comparison)
    if comparison.findings:
        raise stop(FOUND, f"{len(comparison.findings)} version(s) not raised enough")


def _tell(comparison: Comparison) -> None:
    for change in comparison.changes:
        place = f" {change.path}: {change.count} record(s), such as {change.example}" if change.path else ""
        typer.echo(f"{change.mapping}: {change.sort}{place}")
    for verdict in comparison.verdicts:
        typer.echo(f"{verdict.mapping}: needs a {verdict.needs} version ({verdict.old} -> {verdict.new})")
    for finding in comparison.findings:
        typer.echo(str(finding))
    typer.echo(f"{comparison.samples} record(s) compared, {len(comparison.changes)} kind(s) of change")


def _stored(db: Location, sets: tuple[MappingSet, MappingSet], sample: int, seed: int) -> Iterator[Sample]:
    """The stored records of every kind that both sets know."""
    from fhir_facade.mapping.differ import samples_of_records

    store = _open_by_either(db, sets)
    try:
        for kind in store.schema.kinds:
            yield from samples_of_records(store.scan(kind.name), kind, sample, seed)
    finally:
        store.close()


def _open_by_either(db: Location, sets: tuple[MappingSet, MappingSet]) -> Store:
    """The database, which has the tables of the old mappings or of the new ones."""
    from fhir_facade.outcome import Refused
    from fhir_facade.store.opening import open_store

    old, new = sets
    try:
        return open_store(db, old.kinds, old.search.columns, read_only=True)
    except Refused:
        return open_store(db, new.kinds, new.search.columns, read_only=True)


@mapping_app.command("new")
def new_mapping(
    record: Annotated[str, typer.Argument(help="The record kind, such as opphold.")],
    resource: Annotated[str, typer.Argument(help="The resource type, such as Encounter.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write here; standard output when left out.")
    ] = None,
    mappings: Folder = None,
    site: Site = None,
) -> None:
    """Write a first mapping: rows where they are certain, and as comments the choices that are left.

    Every other field stands under ignore as not decided yet. Ends with 1 when a required element must still be
    decided, which is told on standard error. A file that exists is never overwritten.

    \b
    Example:
      fhir-facade mapping new tilstand Observation --output mappings/tilstand.observation.yaml
    """
    from fhir_facade.mapping.scaffold import Unknown, scaffold

    folder = mappings or settings_with().mappings
    if not folder.is_dir():
        raise stop(FAILED, f"{folder}: there is no such folder")
    with faults_are_told():
        try:
            draft = scaffold(mapping_set_of(folder, site), folder, record, resource, output.name if output else "")
        except Unknown as unknown:
            raise stop(FAILED, str(unknown)) from None
        if output is None:
            typer.echo(draft.text, nl=False)
        else:
            try:
                with output.open("x", encoding="utf-8") as file:
                    file.write(draft.text)
            except FileExistsError:
                raise stop(FAILED, f"{output}: there is a file already; it is not overwritten") from None
    if draft.findings:
        shown = (replace(each, file=str(output)) if output else each for each in draft.findings)
        raise stop(FOUND, "\n".join(map(str, shown)))
