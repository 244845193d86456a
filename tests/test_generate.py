"""What is generated is the same every time, and the committed files are it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parent.parent / "tools" / "generate.py"


def test_the_generated_files_are_not_stale() -> None:
    told = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, ""), told.stdout + told.stderr
