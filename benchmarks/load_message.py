"""Loading an NPR-melding: how fast, and how much memory as the file grows; and how fast synthetic patients are made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from benchmarks.data import SEED, make_database, mapping_set
from benchmarks.report import Report
from benchmarks.servers import ROOT
from fhir_facade.resources import data_root
from fhir_facade.store.npr_table import load_table
from fhir_facade.store.npr_write import write_npr
from fhir_facade.store.synthetic import generate

MB = 1_000_000
SIZES, FULL_SIZES = (2, 8), (20, 200)
PATIENTS = 300  # in one round of institutions, which then comes again under other numbers


def run(report: Report, *, quick: bool = False, full: bool = False) -> None:
    """Measure and print."""
    _synthetic(report, 500 if quick else 2_000, 3)
    sizes = FULL_SIZES if full else SIZES[:1] if quick else SIZES
    report.title("Loading an NPR-melding with fhir-facade load, into an empty database")
    peaks = []
    with tempfile.TemporaryDirectory(prefix="fhir-facade-bench-") as name:
        folder = Path(name)
        small = small_message(folder)
        for size in sizes:
            message = folder / f"message-{size}.xml"
            with message.open("wb") as out:
                out.writelines(enlarged(small, size * MB))
            written = message.stat().st_size / MB
            took, peak = load(message, folder / f"{size}.db")
            peaks.append(peak)
            report.row(f"load/{size} MB/rate", f"{written:.0f} MB message", written / took, "MB/s", f"{took:.0f} s")
            report.row(f"load/{size} MB/peak", f"{written:.0f} MB message", peak / MB, "MB at most", "resident memory")
            message.unlink()
    if len(peaks) > 1:
        growth = (peaks[-1] - peaks[0]) / MB
        report.row("load/growth", "memory that the larger one takes more", growth, "MB")


def _synthetic(report: Report, patients: int, rounds: int) -> None:
    """How many patients' records are made a second; no file, no database."""
    rates = []
    for _ in range(rounds):
        began = process_time()
        made = sum(1 for _ in generate(patients, SEED))
        rates.append(patients / (process_time() - began))
    report.title(f"Synthetic Norway: {patients} patients, {made / patients:.1f} records each")
    report.row("synth/patients", "made", median(rates), "patients/s", "", 2_000.0)


def small_message(folder: Path) -> bytes:
    kinds = mapping_set().kinds
    store = make_database(folder / "small.db", PATIENTS)
    table = load_table(data_root("mappings") / "npr-melding.yaml", kinds)
    with (folder / "small.xml").open("wb") as out:
        issues = write_npr(store, out, table, kinds, "ord")
    store.close()
    assert not issues, issues
    return (folder / "small.xml").read_bytes()


def enlarged(message: bytes, size: int) -> Iterator[bytes]:
    """The message with its institutions over and over, each time under new numbers, until it is large enough."""
    start, end = message.index(b"  <Institusjon "), message.rindex(b"</Melding>")
    blocks = re.split(rb"(?<=</Institusjon>\n)", message[start:end])
    yield message[:start]
    written, numbers = start, count(1)
    while written < size:
        for block in filter(bytes.strip, blocks):
            again = re.sub(
                rb'<Institusjon institusjonID="\d+"', b'<Institusjon institusjonID="8%08d"' % next(numbers), block
            )
            written += len(again)
            yield again
    yield message[end:]


def load(message: Path, database: Path) -> tuple[float, float]:
    """Seconds, and the most memory that the process held, in bytes."""
    return run_measured("load", str(message), "--db", str(database))


def run_measured(*arguments: str, may_find: bool = False) -> tuple[float, float]:
    """Seconds of a command, and the most memory that its process held, in bytes; `may_find` lets it end with 1."""
    began = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fhir_facade.cli", *arguments],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in ((0, 1) if may_find else (0,)), said.decode()[-2000:]
    unit = 1 if sys.platform == "darwin" else 1024
    return perf_counter() - began, usage.ru_maxrss * unit
