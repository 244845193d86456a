"""The commands under `fhir-facade profiles`: which definitions are at hand, and ours as a FHIR package."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_facade.terminal import FAILED, FOUND, faults_are_told, paths_are_there, say, settings_with, stop, whole_file

if TYPE_CHECKING:
    from fhir_facade.packages.files import Package
    from fhir_facade.packages.package_lists import PackageLists
    from fhir_facade.packages.registry import Entry, Packages

profiles_app = typer.Typer(
    no_args_is_help=True, help="Profiles and extensions: what is at hand, and ours as a package."
)


class Form(StrEnum):
    """How the list is written."""

    text = "text"
    json = "json"


@profiles_app.command("list")
def list_profiles(
    package: Annotated[
        list[Path] | None,
        typer.Option(
            "--package",
            metavar="PATH",
            help="A FHIR package (.tgz, folder or file); without it those of FHIR_FACADE_PACKAGES.",
        ),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="text, or json for machines.")] = Form.text,
) -> None:
    """List our profiles and those of packages, and what of them was not understood.

    Exit code 1 when a file of a package could not be read; the rest is listed all the same.

    \b
    Example:
      fhir-facade profiles list --package hl7.fhir.no.basis.tgz
    """
    with faults_are_told():
        import orjson

        from fhir_facade.packages.package_lists import PackageLists
        from fhir_facade.packages.registry import load_packages

        paths = settings_with(packages=tuple(package) if package else None).packages
        paths_are_there(paths)
        found = load_packages(paths)
        entries = _with_defects(found, found.all())
        lists = PackageLists(found)
        packages = [_summary(each, lists) for each in found.loaded]
        if form is Form.json:
            whole = {"packages": packages, "definitions": [asdict(each) for each in entries]}
            sys.stdout.buffer.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2) + b"\n")
        else:
            _print(packages, entries)
        for fault in found.faults:
            say(str(fault))
        if found.faults:
            raise typer.Exit(FOUND)


def _with_defects(found: Packages, entries: list[Entry]) -> list[Entry]:
    """The entries, those of packages with what cannot be judged as it stands."""
    from fhir_facade.profile.bindings import Bindings
    from fhir_facade.profile.defects import defects
    from fhir_facade.profile.schema import Schema
    from fhir_facade.validation_stream import catalogue_of

    if not found.loaded:
        return entries
    schema, bindings, labels = Schema(found), Bindings(catalogue_of(found)), {each.label for each in found.loaded}
    told = []
    for entry in entries:
        definition = found.find(f"{entry.url}|{entry.version}" if entry.version else entry.url)
        more = tuple(defects(schema, bindings, definition)) if definition and entry.origin in labels else ()
        told.append(replace(entry, notes=(*entry.notes, *more)))
    return told


def _summary(package: Package, lists: PackageLists) -> dict[str, Any]:
    """How much of each kind a package has, and the lists that were left out."""
    counts = Counter(content["resourceType"] for _, content in package.resources)
    left_out = [f"{each.url}: {each.reason}" for each in lists.notes if each.origin == package.label]
    return {
        "name": package.name or package.label, "version": package.version, "path": str(package.path),
        "resources": dict(sorted(counts.items())), "guides": package.guides, "notes": left_out,
    }  # fmt: skip


def _print(packages: list[dict[str, Any]], entries: list[Entry]) -> None:
    for package in packages:
        held = ", ".join(f"{count} {name}" for name, count in package["resources"].items()) or "nothing that is used"
        sys.stdout.write(f"{package['name']} {package['version']}: {held}\n")
        for note in package["notes"]:
            sys.stdout.write(f"{'':20}   not used: {note}\n")
    for each in entries:
        version = f"|{each.version}" if each.version else ""
        replaced = f" (replaced by {each.replaced_by})" if each.replaced_by else ""
        sys.stdout.write(f"{each.type:20} {each.url}{version}  {each.origin}{replaced}\n")
        for note in each.notes:
            sys.stdout.write(f"{'':20}   note: {note}\n")


@profiles_app.command("package")
def package_profiles(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write; '-' is standard output.")
    ] = Path("no.fhir-facade.profiles.tgz"),
    self_contained: Annotated[
        bool, typer.Option("--self-contained", help="Take definitions along that other packages own.")
    ] = False,
) -> None:
    """Write our profiles, extensions, value sets and code systems as a FHIR package, with snapshots.

    \b
    Example:
      fhir-facade profiles package --out no.fhir-facade.profiles.tgz
    """
    with faults_are_told():
        from fhir_facade.packages.package_build import build_package
        from fhir_facade.resources import data_root

        try:
            content = build_package(data_root("profiles") / "structure-definitions", self_contained=self_contained)
        except ValueError as error:
            raise stop(FAILED, str(error)) from None
        with whole_file(out) as file:
            file.write(content)
        say(f"{out}: {len(content):,} bytes")
