"""docs/tutorial.md, walked from top to bottom as a reader walks it: files written, commands run, output compared.

A block behind a line "Write `NAME`...:" is a file. A block of sh is what the reader types, and the block behind it what
it prints; without one it prints nothing. "ends with 1" between the two is the exit code, which else is 0. In output
<number>, <time> and <hash> stand for what may differ, and a line "..." for lines that are left out.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"
PORT = "127.0.0.1:8000"  # where the page has its server; the test lets the server choose a free port
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WRITE = re.compile(r"^Write `([^`]+)`[^\n]*:\n\n\Z", re.MULTILINE)
ENDS_WITH = re.compile(r"\bends with (\d)\b")
PLACEHOLDERS = {"<number>": r"\d+", "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<hash>": "[0-9a-f]{8}"}
CURL = """
import sys
import httpx

sys.stdout.write(httpx.get(sys.argv[-1]).text)
"""  # for a machine without curl: the page only fetches, quietly


@dataclass
class Step:
    """One block of the page: a file to write (`file`), or commands with what they print and their exit code."""

    line: int
    text: str
    file: str = ""
    printed: str = ""
    code: int = 0

    @property
    def serves(self) -> bool:
        """Whether it is the server that is to go on, in a terminal of its own."""
        return self.text.splitlines()[-1].startswith("fhir-facade serve ")


def steps(page: str) -> Iterator[Step]:
    """The blocks of a page in their order, each command with its output."""
    typed: Step | None = None
    end = 0
    for block in FENCE.finditer(page):
        line, before = page.count("\n", 0, block.start()) + 1, page[end : block.start()]
        end = block.end()
        if block[1] == "sh":
            if typed:
                yield typed
            # the exit code is told in the paragraph before the command
            said = ENDS_WITH.search(before.strip().rpartition("\n\n")[2])
            typed = Step(line, block[2], code=int(said[1]) if said else 0)
        elif name := WRITE.search(before):
            if typed:
                yield typed
            typed = None
            yield Step(line, block[2], file=name[1])
        else:
            assert typed and not before.strip(), f"{PAGE.name}:{line}: neither a file, a command nor its output"
            yield Step(typed.line, typed.text, printed=block[2], code=typed.code)
            typed = None
    if typed:
        yield typed


def fits(printed: str, said: str) -> bool:
    """Whether what was printed is what the page says, up to its placeholders."""
    pattern = ""
    for line in said.splitlines():
        escaped = re.escape(line)
        for name, stands_for in PLACEHOLDERS.items():
            escaped = escaped.replace(name, stands_for)
        pattern += r"(?:.*\n)*" if line == "..." else escaped + r"\n"
    return re.fullmatch(pattern, printed) is not None


class Reader:
    """Someone at two terminals in one folder: the first for every command, the second for the server."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder, self.address = folder, PORT
        foreign = ("FHIR_FACADE_", "PYTHONDONTWRITEBYTECODE")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment |= {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",  # what is said stands in the order in which a terminal shows it
            "PYTHONPYCACHEPREFIX": str(tools / "cache"),  # a dozen starts of one program, and nothing left in the tree
            "NO_PROXY": "*",
        }
        self.exported = ""
        self.server: subprocess.Popen[bytes] | None = None

    def follow(self, step: Step) -> None:
        where = f"{PAGE.name}:{step.line}"
        if step.file:
            file = self.folder / step.file
            assert file.parent.is_dir(), f"{where}: there is no folder for {step.file} yet"
            file.write_text(step.text, "utf-8")
        elif step.serves and step.code == 0:
            self.serve(step, where)
        else:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", self.exported + step.text.replace(PORT, self.address)],
                cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
            self.compare(step, where, done.stdout, done.returncode)
            self.exported += "".join(f"{line}\n" for line in step.text.splitlines() if line.startswith("export "))

    def serve(self, step: Step, where: str) -> None:
        """Start the server at a port that it chooses, and wait until it says where it is."""
        *exports, last = step.text.splitlines()
        port = f"--port {PORT.partition(':')[2]}"
        assert port in last, f"{where}: no {port}"
        log = self.folder.with_suffix(".log")
        with log.open("wb") as told:
            self.server = subprocess.Popen(
                ["bash", "-c", "\n".join([*exports, f"exec {last.replace(port, '--port 0')}"])],
                cwd=self.folder, env=self.environment, stdout=told, stderr=subprocess.STDOUT,
            )  # fmt: skip
        while b"\n" not in log.read_bytes() and self.server.poll() is None:
            time.sleep(0.05)
        said = log.read_bytes()
        if found := re.search(rb"127\.0\.0\.1:\d+", said):
            self.address = found[0].decode()
        self.compare(step, where, said, self.server.poll() or 0)

    def compare(self, step: Step, where: str, told: bytes, code: int) -> None:
        printed = told.decode("utf-8").replace(self.address, PORT)
        assert fits(printed, step.printed), f"{where}\n{step.text}printed:\n{printed}but the page says:\n{step.printed}"
        assert code == step.code, f"{where}\n{step.text}ended with {code}, but the page says {step.code}"

    def stop(self) -> int | None:
        """Stop the server as Ctrl-C does; its exit code."""
        if self.server is None:
            return None
        self.server.send_signal(signal.SIGINT)
        return self.server.wait()


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """A reader in an empty folder who has the commands of the page; the server does not outlive them."""
    tools, empty = folder / "bin", folder / "folder"
    tools.mkdir()
    empty.mkdir()
    root = shlex.quote(str(PAGE.parent.parent))
    command(tools / "fhir-facade", f'PYTHONPATH={root} exec {shlex.quote(sys.executable)} -m fhir_facade.cli "$@"')
    command(tools / "python3", f'exec {shlex.quote(sys.executable)} "$@"')
    if shutil.which("curl") is None:
        (tools / "curl.py").write_text(CURL, "utf-8")
        command(tools / "curl", f'exec {shlex.quote(sys.executable)} "$(dirname "$0")/curl.py" "$@"')
    someone = Reader(empty, tools)
    try:
        yield someone
    finally:
        if someone.server is not None and someone.server.poll() is None:
            someone.server.kill()
            someone.server.wait()


def command(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    file.chmod(0o755)


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        for step in steps(PAGE.read_text("utf-8")):
            someone.follow(step)
        assert someone.stop() == 0


def test_the_tutorial_has_files_commands_and_a_server() -> None:
    found = list(steps(PAGE.read_text("utf-8")))
    assert {Path(step.file).suffix for step in found} == {"", ".yaml", ".json", ".ndjson"}
    assert sum(step.serves and not step.code for step in found) == 1
    typed = "".join(step.text for step in found if not step.file)
    for each in ("check", "mapping new", "mapping accept", "mapping test", "synth", "load", "serve", "explain", "put"):
        assert f"fhir-facade {each} " in typed.replace("\n", " ")


def test_a_page_is_read_as_its_blocks() -> None:
    page = "Write `a.yaml`, once:\n\n```yaml\nb: 1\n```\n\nIt ends with 1:\n\n```sh\nfalse\n```\n\n```text\nno\n```\n\n```sh\ntrue\n```\n"
    assert list(steps(page)) == [
        Step(3, "b: 1\n", file="a.yaml"),
        Step(9, "false\n", printed="no\n", code=1),
        Step(17, "true\n"),
    ]
    with pytest.raises(AssertionError, match="neither a file"):
        list(steps("```sh\ntrue\n```\n\nSomething.\n\n```text\nno\n```\n"))


def test_output_fits_word_for_word_but_for_placeholders() -> None:
    assert fits("3 at 2026-01-02T03:04:05.678Z\n", "<number> at <time>\n")
    assert fits("a\nb\nc\nd\n", "a\n...\nd\n")
    assert fits("", "")
    for printed, said in (
        ("a\n", "b\n"),
        ("a\n", ""),
        ("", "a\n"),
        ("a\nb\n", "a\n"),
        ("a.b\n", "a+b\n"),
        ("x\n", "<number>\n"),
    ):
        assert not fits(printed, said)
