"""Where the data that goes with the package lies: beside it in the repository, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path


def data_root(name: str) -> Path:
    """Return the directory of package data called `name`, such as "profiles" or "mappings".

    A wheel carries it as `fhir_facade/_data/<name>`; in a checkout it is the directory of that name beside
    the package. The path is returned also when nothing is there, so that the reader's error names it.
    """
    package = Path(__file__).resolve().parent
    carried = package / "_data" / name
    return carried if carried.is_dir() else package.parent / name
