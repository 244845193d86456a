"""Full-size code systems: imported in flat memory; then $lookup beside reads of the facade, $expand beside $lookup."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import quote

from benchmarks.data import SEED, make_database, mapping_set
from benchmarks.report import Report
from benchmarks.servers import ROOT
from benchmarks.timing import interleaved, medians, seconds
from fhir_facade.facade import Facade
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.code_systems import ImportedCodeSystem, open_editions
from fhir_facade.terminology.catalogue import Catalogue

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
COMMON, SEVERAL = ("a", "s", "hjerte", "akutt hj"), ("kronisk skjold", "mild lesesvikt", "venstresidig tannbrudd")
REPEATED = 200  # of one thing, timed together
FILTERS = {
    "a beginning": "hjerte",
    "a common word": "akutt",
    "one letter": "s",
    "a rare word": "200042",
    "two common words": "kronisk skjold",
    "a common and a rare word": "kronisk 200042",
    "three common words": "mild nyre infeksjon",
    "a code": "100042000",
    "the beginning of a code": "10012",
    "nothing that is there": "kvikksølv",
}
"""What is typed → the filter of $expand; of 360,000 concepts."""

EXPANDED = 20  # codes of one answer
AIM_LOOKUP, AIM_EXPAND = 0.5, 20  # of the rate of reads, at least; lookups that an expansion may take, at most


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
        _measure_requests(report, folder, list(systems.values()), largest, rounds=5 if quick else 15)


def _measure_imports(report: Report, folder: Path, sizes: dict[str, int]) -> None:
    """Each file in a process of its own, the largest last; memory is compared with a hundredth of that one."""
    tiny = _file(folder, "snomed", min(sizes.values()) // 20)
    _, least = _import(folder, "snomed", tiny, folder / "tiny.db")
    peak, path = least, tiny
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
    for text in (*COMMON, *SEVERAL):
        arms[text] = lambda text=text: seconds(lambda: [system.search(text, 0, 20) for _ in range(10)]) / 10  # type: ignore[misc]
    cost = medians(interleaved(arms, rounds))
    rate = cost["read"] / cost["find"]
    detail = f"{1 / cost['find']:,.0f}/s; a read {1 / cost['read']:,.0f}/s"
    report.row("terminology/find", "a code found, by library", rate, "× facade read", detail, 0.5)
    for text in (*COMMON, *SEVERAL):
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


def _measure_requests(
    report: Report, folder: Path, systems: list[ImportedCodeSystem], largest: ImportedCodeSystem, rounds: int
) -> None:
    """Requests to the ASGI application in this process: what is measured is all that the server does for one answer."""
    report.title("Terminology: requests to the ASGI application in one process, by processor time")
    store = make_database(folder / "served.db", 300)
    services = Services(
        mapping_set(), store, "http://facade.test/fhir", PageTokens(b"bench"), catalogue=Catalogue(systems)
    )
    lane, draw = FhirLane(services), random.Random(SEED)
    keys = draw.sample([record["$key"] for record in store.scan("opphold")], REPEATED)
    arms = {"read": _arm(lane, [(f"/fhir/Encounter/{key}", "") for key in keys])}
    for system in systems:
        codes = [concept.code for place in _places(draw, system) for concept in system.page(place, 1)]
        asked = [("/fhir/CodeSystem/$lookup", f"system={system.edition.url}&code={code}") for code in codes]
        arms[system.edition.title] = _arm(lane, asked)
    for name, text in FILTERS.items():
        query = f"url={largest.edition.url}&filter={quote(text)}&count={EXPANDED}"
        arms[name] = _arm(lane, [("/fhir/ValueSet/$expand", query)] * 5)
    cost = medians(interleaved(arms, rounds))
    for system in systems:
        title, found = system.edition.title, cost[system.edition.title]
        detail = f"{1 / found:,.0f}/s; a read {1 / cost['read']:,.0f}/s"
        key = f"terminology/lookup/{title}"
        report.row(key, f"$lookup in {title}", cost["read"] / found, "× facade read", detail, AIM_LOOKUP)
    one = cost[largest.edition.title]
    for name, text in FILTERS.items():
        total, _ = largest.search(text, 0, 1)
        detail = f"{cost[name] / one:.1f} lookups, {cost[name] * 1000:.2f} ms; {total:,} match"
        within = AIM_EXPAND * one / cost[name]
        report.row(f"terminology/expand/{name}", f"$expand, {name}: '{text}'", within, "× within the aim", detail, 1)
    for name in ("two common words", "three common words"):
        took = median(_first_search(folder, largest, FILTERS[name]) for _ in range(rounds))
        text = f"search, {name}, the first time"
        report.row(f"terminology/first/{name}", text, took / one, "lookups", f"{took * 1000:.2f} ms; then kept")
    store.close()


def _first_search(folder: Path, system: ImportedCodeSystem, text: str) -> float:
    """The processor time of a search by an edition that was opened for it, and has kept no words."""
    fresh = next(one for one in open_editions(folder / "codes.db") if one.edition == system.edition)
    fresh.search("a", 0, 1)  # opens the file
    return seconds(lambda: fresh.search(text, 0, EXPANDED))


def _arm(lane: FhirLane, asked: list[tuple[str, str]]) -> Callable[[], float]:
    """Give the processor time of one of these requests; all must be answered with 200."""
    scopes: list[dict[str, object]] = [
        {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
        for path, query in asked
    ]

    def work() -> None:
        for scope in scopes:
            _send(lane, scope)

    work()  # lists are read and statements prepared, as in a server after its first requests
    return lambda: seconds(work) / len(scopes)


def _send(lane: FhirLane, scope: dict[str, object]) -> None:
    """One request, driven by hand: a handler waits for nothing, so that no event loop is needed."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, object]) -> None:
        assert message.get("status", 200) == 200, scope

    try:
        lane(scope, receive, send).send(None)
    except StopIteration:
        return
    raise AssertionError("the application waits")


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
