"""The commands under `fhir-facade profiles`: which definitions are at hand, and ours as a FHIR package."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fhir_facade.terminal import FAILED, FOUND, faults_are_told, say, stop, whole_file

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
        list[Path] | None, typer.Option("--package", metavar="PATH", help="A FHIR package (.tgz, folder or file).")
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

        from fhir_facade.packages.registry import load_packages

        for path in package or ():
            if not path.exists():
                raise stop(FAILED, f"{path}: there is no such package")
        found = load_packages(package or ())
        entries = found.all()
        if form is Form.json:
            sys.stdout.buffer.write(
                orjson.dumps([asdict(each) for each in entries], option=orjson.OPT_INDENT_2) + b"\n"
            )
        else:
            for each in entries:
                version = f"|{each.version}" if each.version else ""
                replaced = f" (replaced by {each.replaced_by})" if each.replaced_by else ""
                sys.stdout.write(f"{each.type:20} {each.url}{version}  {each.origin}{replaced}\n")
                for note in each.notes:
                    sys.stdout.write(f"{'':20}   not understood: {note}\n")
        for fault in found.faults:
            say(str(fault))
        if found.faults:
            raise typer.Exit(FOUND)


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
