"""Full-size code systems: imported in flat memory, codes looked up and texts searched beside reads of the facade."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.data import SEED, make_database
from benchmarks.report import Report
from benchmarks.servers import ROOT
from benchmarks.timing import interleaved, medians, seconds
from fhir_facade.facade import Facade
from fhir_facade.store.code_systems import ImportedCodeSystem, open_editions

MB = 1_000_000
SIZES = {"icd-10": 40_000, "nkpk": 20_000, "snomed": 360_000}
STEMS = (
    "hjerte", "lunge", "nyre", "lever", "hud", "øye", "øre", "kne", "hofte", "skulder", "mage", "tarm", "nerve",
    "muskel", "blod", "åre", "hjerne", "ledd", "tann", "kjerne", "skjold", "angst", "søvn", "stemning", "tanke",
    "rus", "språk", "lese", "skrive", "rygg", "nakke",
)  # fmt: skip
ENDS = (
    "svikt", "betennelse", "sykdom", "skade", "smerte", "svulst", "lidelse", "forstyrrelse", "blødning",
    "brudd", "infeksjon", "mangel", "lammelse",
)  # fmt: skip
KINDS = (
    "akutt", "kronisk", "uspesifisert", "venstresidig", "høyresidig", "alvorlig", "mild", "moderat",
    "tilbakevendende", "medfødt", "annen",
)  # fmt: skip
ACTS = (
    "fjerning", "reseksjon", "biopsi", "undersøkelse", "behandling", "sutur", "drenasje", "eksisjon",
    "implantasjon", "samtale",
)  # fmt: skip
COMMON, RARE = ("a", "s", "hjerte", "akutt hj"), ("kronisk skjold", "mild lesesvikt", "venstresidig tannbrudd")
REPEATED = 200  # of one thing, timed together


def run(report: Report, *, quick: bool = False) -> None:
    """Measure and print."""
    report.title(f"Terminology: code systems of full size; seed {SEED}")
    with tempfile.TemporaryDirectory(prefix="fhir-facade-bench-") as name:
        folder = Path(name)
        sizes = {system: count // (10 if quick else 1) for system, count in SIZES.items()}
        _measure_imports(report, folder, sizes)
        systems = {one.edition.url: one for one in open_editions(folder / "codes.db")}
        largest = max(systems.values(), key=lambda one: one.edition.count)
        _measure_library(report, folder, largest, rounds=3 if quick else 7)


def _measure_imports(report: Report, folder: Path, sizes: dict[str, int]) -> None:
    """Each file in a process of its own, the largest last; memory is compared with a hundredth of that one."""
    tiny = _file(folder, "snomed", min(sizes.values()) // 20)
    _, least = _import(folder, "snomed", tiny, folder / "tiny.db")
    peak = least
    for system, count in sorted(sizes.items(), key=lambda pair: pair[1]):
        path = _file(folder, system, count)
        took, peak = _import(folder, system, path, folder / "codes.db")
        detail = f"{count:,} codes, {took:.1f} s, {peak / MB:.0f} MB at most"
        report.row(f"terminology/import/{system}", f"import of {system}", count / took, "codes/s", detail)
    detail = f"{path.stat().st_size / MB:.0f} MB file; beside {tiny.stat().st_size / MB:.2f} MB"
    report.row("terminology/import/growth", "memory that the largest takes more", (peak - least) / MB, "MB", detail)


def _measure_library(report: Report, folder: Path, system: ImportedCodeSystem, rounds: int) -> None:
    """A code found and a text searched, beside a record that is read and rendered by the facade."""
    store = make_database(folder / "records.db", 100)
    facade: Facade = Facade()
    mapping = facade.mapping("opphold", "Encounter")
    draw = random.Random(SEED)
    keys = draw.sample([record["$key"] for record in store.scan("opphold")], 100)
    codes = [concept.code for place in _places(draw, system) for concept in system.page(place, 1)]

    def read() -> None:
        for key in keys:
            record = store.get("opphold", key)
            assert record is not None
            mapping.to_bytes(record, [])

    def find() -> None:
        for code in codes:
            assert system.find(code) is not None

    arms: dict[str, Callable[[], float]] = {
        "read": lambda: seconds(read) / len(keys),
        "find": lambda: seconds(find) / len(codes),
    }
    for text in (*COMMON, *RARE):
        arms[text] = lambda text=text: seconds(lambda: [system.search(text, 0, 20) for _ in range(10)]) / 10  # type: ignore[misc]
    cost = medians(interleaved(arms, rounds))
    rate = cost["read"] / cost["find"]
    detail = f"{1 / cost['find']:,.0f}/s; a read {1 / cost['read']:,.0f}/s"
    report.row("terminology/find", "a code found, by library", rate, "× facade read", detail, 0.5)
    for text in (*COMMON, *RARE):
        total, _ = system.search(text, 0, 20)
        detail = f"{cost[text] * 1000:.2f} ms; {total:,} match"
        report.row(
            f"terminology/search/{text}",
            f"search for '{text}', 20 of them",
            cost[text] / cost["read"],
            "facade reads",
            detail,
        )
    store.close()


def _places(draw: random.Random, system: ImportedCodeSystem) -> list[int]:
    return [draw.randrange(system.edition.count) for _ in range(REPEATED)]


def _import(folder: Path, system: str, path: Path, database: Path) -> tuple[float, float]:
    """Seconds, and the most memory that the process held, in bytes."""
    began = perf_counter()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "fhir_facade.cli", "terminology", "import", str(path),
            "--system", system, "--version", "2026", "--db", str(database),
        ],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said.decode()[-2000:]
    return perf_counter() - began, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _file(folder: Path, system: str, count: int) -> Path:
    path = folder / f"{system}-{count}.txt"
    with path.open("w", encoding="utf-8") as out:
        out.write("kode\tnavn\toverordnet\n")
        out.writelines("\t".join(row) + "\n" for row in ROWS[system](random.Random(SEED), count))
    return path


def _icd(draw: random.Random, count: int) -> Iterator[tuple[str, str, str]]:
    """Categories of three signs with nine below each: A00, A00.0 ... The letters go round when the numbers are used."""
    for number in range(count):
        block, below = divmod(number, 10)
        group, digits = divmod(block, 100)
        category = f"{chr(65 + group % 26)}{'' if group < 26 else group // 26}{digits:02}"
        text = f"{draw.choice(KINDS).capitalize()} {draw.choice(STEMS)}{draw.choice(ENDS)}"
        yield (f"{category}.{below - 1}", f"{text} {number}", category) if below else (category, text, "")


def _procedures(draw: random.Random, count: int) -> Iterator[tuple[str, str, str]]:
    for number in range(count):
        letters = "".join(chr(65 + number // 100 // 26**place % 26) for place in range(3))
        yield f"{letters}{number % 100:02}", f"{draw.choice(ACTS).capitalize()} av {draw.choice(STEMS)} {number}", ""


def _snomed(draw: random.Random, count: int) -> Iterator[tuple[str, str, str]]:
    """A tree of numbered concepts: each stands below one that came before it."""
    for number in range(count):
        words = [draw.choice(KINDS), draw.choice(STEMS) + draw.choice(ENDS), "i", draw.choice(STEMS)]
        parent = str(100_000_000 + draw.randrange(number) * 1000) if number else ""
        yield str(100_000_000 + number * 1000), f"{' '.join(words).capitalize()} {number} ({draw.choice(ENDS)})", parent


ROWS = {"icd-10": _icd, "nkpk": _procedures, "snomed": _snomed}
