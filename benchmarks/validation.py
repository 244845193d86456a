"""Validation beside reading the same bytes with orjson, and beside fhir.resources; when the definitions are ready."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import orjson

from benchmarks.data import SEED, complete_records, mapping_set
from benchmarks.report import Report
from benchmarks.servers import ROOT
from benchmarks.timing import interleaved, medians, seconds
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile.validator import Validator
from fhir_facade.terminology.catalogue import Catalogue

EACH = 40  # resources of a mapping
READY = """
import time
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile.validator import Validator
from fhir_facade.terminology.catalogue import Catalogue
began = time.process_time()
judge = Validator(load_packages(), Catalogue())
for name in "Patient Encounter ServiceRequest Condition EpisodeOfCare".split():
    judge.schema.node(name).members
print(time.process_time() - began)
began = time.process_time()
judge.validate({"resourceType": "Patient", "active": True, "name": [{"family": "a"}]})
print(time.process_time() - began)
"""
NARRATIVE = {
    "status": "generated",
    "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p><b>Opphold</b></p><table><tr><td>Fra</td><td>17.05.2024</td>'
    "</tr><tr><td>Til</td><td>19.05.2024</td></tr></table><p>Utskrevet til hjemmet</p></div>",
}
"""A small narrative, as a third of the resources have in the mix with narratives."""


def resources() -> list[dict[str, Any]]:
    """What the facade makes of synthetic records, with the profile that each declares."""
    found = []
    for mapping in mapping_set().mappings.values():
        found += [mapping.to_fhir(record, []) for record in complete_records(mapping.rules.kind, EACH)]
    random.Random(SEED).shuffle(found)
    return found


def without_profile(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource that declares nothing, for it is to be judged by R4 alone."""
    meta = {key: value for key, value in resource.get("meta", {}).items() if key != "profile"}
    plain = {key: value for key, value in resource.items() if key != "meta"}
    return plain | ({"meta": meta} if meta else {})


def run(report: Report, *, quick: bool) -> None:
    """Print the ratios."""
    rounds = 3 if quick else 9
    whole = resources()
    plain = [without_profile(each) for each in whole]
    told = [each | {"text": NARRATIVE} if place % 3 == 0 else each for place, each in enumerate(plain)]
    judge = Validator(load_packages(), Catalogue())
    texts = {"base": plain, "profile": whole, "narrative": told}
    packed = {name: [orjson.dumps(each) for each in listed] for name, listed in texts.items()}
    arms: dict[str, Callable[[], float]] = {}
    for name, held in packed.items():
        for _ in range(4):  # the functions are made when a key set is met for the third time
            accepted = [judge.fast.accepts(orjson.loads(text)) for text in held]
        settled = sum(accepted) / len(held)
        assert settled > 0.99, f"{name}: {settled:.1%} settled by the fast phase"
        arms[f"{name} read"] = _timed(orjson.loads, held)
        arms[f"{name} judged"] = _timed(lambda text: judge.is_valid(orjson.loads(text)), held)
    sample = packed["base"][:200]
    arms["model"] = _timed(_model, sample)
    arms["sample judged"] = _timed(lambda text: judge.is_valid(orjson.loads(text)), sample)
    _timed(_model, sample)()  # the model classes are built when they are first used
    times = medians(interleaved(arms, rounds))
    size = sum(map(len, packed["base"])) / len(packed["base"])
    report.title(f"Validation: {len(plain)} resources of {len(mapping_set().mappings)} mappings, {size:,.0f} bytes")
    for name, words, most in (
        ("base", "R4 alone", 8.0), ("profile", "R4 and the declared profile", 7.0),
        ("narrative", "R4, a third with narratives", 8.0),
    ):  # fmt: skip
        read, judged = times[f"{name} read"], times[f"{name} judged"]
        ratio = (judged - read) / read
        detail = f"{(judged - read) / len(plain) * 1e6:.1f} us each; {ratio:.1f} × orjson.loads"
        report.row(f"validation.{name}", words, most / ratio, "× within the aim", detail, aim=1)
    report.row(
        "validation.peer", "is_valid of a text, faster than", times["model"] / times["sample judged"],
        "× fhir.resources", f"{times['model'] / len(sample) * 1e6:.0f} us each there", aim=6,
    )  # fmt: skip
    _phases(report, judge, plain)
    ready, first = _ready()
    report.row(
        "validation.ready", "definitions ready", 0.150 / ready, "× within the aim", f"{ready * 1e3:.0f} ms", aim=1
    )
    report.note(f"first report afterwards {first * 1e3:.0f} ms")


def _phases(report: Report, judge: Validator, plain: Sequence[dict[str, Any]]) -> None:
    few = plain[:200]
    fast, slow = _timed(judge.is_valid, few)(), _timed(judge.validate, few)()
    report.row(
        "validation.report",
        "a whole report, warnings too",
        slow / fast,
        "× yes or no",
        f"{slow / len(few) * 1e6:.0f} us each",
    )
    functions = judge.fast.functions_made
    report.note(f"{functions} functions were made")


def _timed(work: Callable[[Any], object], over: Sequence[Any]) -> Callable[[], float]:
    def run_all() -> None:
        for each in over:
            work(each)

    return lambda: seconds(run_all)


def _model(text: bytes) -> object:
    """What fhir.resources does with the same bytes: read them by orjson and make the model."""
    content = orjson.loads(text)
    name = content["resourceType"]
    model = getattr(import_module(f"fhir.resources.R4B.{name.lower()}"), name)
    return model.model_validate(content)


def _ready() -> tuple[float, float]:
    """Seconds of a new process from its imports to definitions that are ready, and for the first report."""
    found = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", READY], capture_output=True, text=True, check=True, cwd=ROOT)
        found.append(tuple(map(float, done.stdout.split())))
    return min(each[0] for each in found), min(each[1] for each in found)
