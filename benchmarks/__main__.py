"""Measure: `python -m benchmarks [PART]... [--quick] [--full] [--json FILE]`; PARTS are below."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

import orjson

from benchmarks import http, load_message, mapping, npr, postgres, scale, terminology, validation, workers, writes
from benchmarks.report import Report

PARTS = ("mapping", "http", "writes", "postgres", "workers", "scale", "load", "npr", "terminology", "validation")


def main() -> None:
    """Run the parts one after another."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure; compare ratios, not rates.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="about a minute, rougher")
    parser.add_argument(
        "--full", action="store_true", help="a million stays, and a message of 200 MB: an hour more, the first time"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    report = Report()
    report.title(f"Python {platform.python_version()}, {os.cpu_count()} cores; arms take turns, medians of rounds")
    parts = asked.parts or PARTS
    if "mapping" in parts:
        mapping.run(report, quick=asked.quick)
    if "http" in parts:
        http.run(report, quick=asked.quick, full=asked.full)
    if "writes" in parts:
        writes.run(report, quick=asked.quick)
    if "postgres" in parts:
        postgres.run(report, quick=asked.quick)
    if "workers" in parts:
        workers.run(report, quick=asked.quick)
    if "scale" in parts:
        scale.run(report, quick=asked.quick, full=asked.full)
    if "load" in parts:
        load_message.run(report, quick=asked.quick, full=asked.full)
    if "npr" in parts:
        npr.run(report, quick=asked.quick, full=asked.full)
    if "terminology" in parts:
        terminology.run(report, quick=asked.quick)
    if "validation" in parts:
        validation.run(report, quick=asked.quick)
    if asked.json:
        asked.json.write_bytes(orjson.dumps(report.figures, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
