"""Judging an NPR-melding by the rules, beside loading it: how fast, how much memory; and writing one that is judged.

Loading and judging are processes of their own over the same file, and take turns.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.load_message import MB, enlarged, load, run_measured, small_message
from benchmarks.report import Report
from benchmarks.timing import interleaved

SIZES, FULL_SIZES = (2, 8), (20, 200)
OF_LOADING = 0.3
ON = "2026-01-01"


def run(report: Report, *, quick: bool = False, full: bool = False) -> None:
    """Measure and print."""
    report.title("Judging an NPR-melding with fhir-facade npr check, beside loading it into an empty database")
    sizes = FULL_SIZES if full else SIZES[:1] if quick else SIZES
    peaks: list[float] = []
    with tempfile.TemporaryDirectory(prefix="fhir-facade-bench-") as name:
        folder = Path(name)
        small = small_message(folder)
        for size in sizes:
            message = folder / f"message-{size}.xml"
            with message.open("wb") as out:
                out.writelines(enlarged(small, size * MB))
            rounds = 1 if size > 20 else 3
            peaks.append(_both(report, message, size, rounds))
            if size == sizes[-1]:
                _writing(report, folder, message)
            message.unlink()
    if len(peaks) > 1:
        report.row("npr/growth", "memory that the larger one takes more", (peaks[-1] - peaks[0]) / MB, "MB")


def _both(report: Report, message: Path, size: int, rounds: int) -> float:
    """One row of ratios and one of memory; the most memory that judging held, in bytes."""
    peaks: list[float] = []
    databases = iter(message.with_name(f"{size}-{number}.db") for number in range(rounds))

    def judging() -> float:
        took, peak = run_measured("npr", "check", str(message), "--format", "json", "--on", ON, may_find=True)
        peaks.append(peak)
        return took

    def loading() -> float:
        return load(message, next(databases))[0]

    found = interleaved({"judge": judging, "load": loading}, rounds)
    judge, loaded = median(found["judge"]), median(found["load"])
    written = message.stat().st_size / MB
    detail = f"{judge:.0f} s; load {loaded:.0f} s"
    name = f"{written:.0f} MB message"
    report.row(f"npr/{size} MB/ratio", name, loaded / judge, "of loading", detail, OF_LOADING)
    report.row(f"npr/{size} MB/rate", name, written / judge, "MB/s")
    report.row(f"npr/{size} MB/peak", name, max(peaks) / MB, "MB at most", "resident memory")
    return max(peaks)


def _writing(report: Report, folder: Path, message: Path) -> None:
    """How long a message that is judged takes to write, beside judging alone: what is written is read again."""
    database, out = folder / "write.db", folder / "out.xml"
    load(message, database)
    took, peak = run_measured(
        "npr", "write", "--db", str(database), "--out", str(out), "--on", ON, "--force", may_find=True
    )
    rate = out.stat().st_size / MB / took
    report.row("npr/write", "written and judged", rate, "MB/s", f"{took:.0f} s, {peak / MB:.0f} MB at most")
