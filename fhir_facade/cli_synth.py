"""The command `fhir-facade synth`: synthetic records, sound or with faults at known places."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_facade.terminal import FAILED, FOUND, faults_are_told, progress_bar, say, settings_with, stop

if TYPE_CHECKING:
    from fhir_facade.npr.faults import FaultTable
    from fhir_facade.npr.rules import RuleSet

Patients = Annotated[int, typer.Option(min=1, max=10_000_000, help="How many patients.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same data.")]
ALL = "all"


def synth(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the NDJSON files go, one for each kind.")],
    patients: Patients = 300,
    seed: Seed = 1,
    faults: Annotated[
        str | None,
        typer.Option(
            "--faults", metavar="RULES",
            help="Put faults in: all, a severity (error), or numbers of rules with commas between. DIR must be empty.",
        ),
    ] = None,
    each: Annotated[int, typer.Option(min=1, max=10_000, help="With --faults: how often each kind of fault.")] = 1,
) -> None:  # fmt: skip
    """Write synthetic records as NDJSON, one file for each record kind.

    With --faults, faults stand at known places: DIR/manifest.ndjson has a line for each finding that a checker is to
    make (expected true) or to leave alone (false): rule, record, what was changed, and what the registry does.
    A patient has one fault at most. DIR/earlier has what was told before, DIR/*.xml are messages.
    Ends with 1 when some fault found no place, which more patients help.

    \b
    Examples:
      fhir-facade synth --patients 1000 --seed 7 --out records/
      fhir-facade synth --patients 2000 --faults all --out faulty/
      fhir-facade npr check faulty/ --against faulty/manifest.ndjson
    """
    if faults is not None:
        _with_faults(out, patients, seed, faults, each)
        return
    from fhir_facade.store.synthetic import write_ndjson

    with faults_are_told(), progress_bar() as bar:
        task = bar.add_task("patients", total=patients)
        write_ndjson(out, patients, seed, lambda done: bar.update(task, completed=max(done, 0)))
    say(f"{patients} patients written to {out}")


def _with_faults(out: Path, patients: int, seed: int, chosen: str, each: int) -> None:
    from fhir_facade.mapping.load_kinds import load_kinds
    from fhir_facade.npr.shipped import shipped_faults, shipped_rules
    from fhir_facade.npr_seeding import write_seeded
    from fhir_facade.store.npr_table import load_table

    with faults_are_told(), progress_bar() as bar:
        if out.exists() and any(out.iterdir()):
            raise stop(FAILED, f"{out} is not empty: records that are there already would be taken for seeded ones")
        folder = settings_with().mappings
        rules = shipped_rules(folder / "records")
        table = shipped_faults(rules)
        numbers = _numbers(chosen, rules, table)
        task = bar.add_task("patients", total=patients)
        seeded = write_seeded(
            out, patients, seed, load_table(folder / "npr-melding.yaml", load_kinds(folder / "records")), rules, table,
            numbers, each, lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    say(f"{patients} patients with {seeded.count} faults of {len(seeded.planted)} rules written to {out}")
    for number in sorted(numbers & table.unseeded.keys()):
        say(f"no fault of {number}: {table.unseeded[number]}")
    if seeded.lacking:
        told = ", ".join(f"{number} ({count})" for number, count in sorted(seeded.lacking.items()))
        raise stop(FOUND, f"no place for: {told}; more patients have more places")


def _numbers(chosen: str, rules: RuleSet, table: FaultTable) -> frozenset[str]:
    """The rules that are meant."""
    severity = {rule.number: rule.severity for rule in rules}
    meant: set[str] = set()
    for word in (each.strip() for each in chosen.split(",")):
        found = {number for number, level in severity.items() if word in (ALL, level, number)}
        if not found:
            from fhir_facade.mapping.findings import nearest

            raise stop(FAILED, f"--faults: there is no rule {word}{nearest(word, severity)}")
        meant |= found
    known = {row.rule for row in table} | table.unseeded.keys()
    return frozenset(meant & known)
