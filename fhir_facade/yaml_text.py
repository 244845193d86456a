"""Read YAML as strings only, remembering the line of every key and value; nothing else in the house reads YAML.

YAML 1.1 would read the municipality "0301" as a number, "NO" as false and "12:30" as 750; here a scalar is a string.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Text(str):
    """A scalar with the line it stands on (1-based)."""

    line: int

    def __new__(cls, value: str, line: int) -> Text:
        text = super().__new__(cls, value)
        text.line = line
        return text


class Rows(list[Any]):
    """A sequence with the line it begins on."""

    line: int


class Table(dict[str, Any]):
    """A mapping with the line it begins on; `at` gives the line of one key."""

    line: int
    lines: dict[str, int]
    repeated: list[tuple[str, int]]

    def at(self, key: str) -> int:
        return self.lines.get(key, self.line)


class SourceError(Exception):
    """A file that is not YAML at all."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file, self.line, self.message = file, line, message


def read(path: Path) -> Table:
    """Return the file's top table; SourceError when it is no YAML table."""
    return parse(text_of(path), path.name)


def text_of(path: Path) -> str:
    """The text of a file; SourceError when it cannot be read or is not UTF-8."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise SourceError(path.name, 1, "there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(path.name, 1, f"cannot be read as UTF-8 text: {type(error).__name__}") from None


def parse(text: str, file: str) -> Table:
    """Return the top table of a text that `file` names in faults; SourceError when it is no YAML table."""
    tables = parse_all(text, file)
    if len(tables) != 1:
        raise SourceError(file, tables[1].line if tables else 1, "one table of keys is expected")
    return tables[0]


def parse_all(text: str, file: str) -> list[Table]:
    """Return the top table of each document of a text (`---` parts them); SourceError when one is no YAML table."""
    try:
        trees = [_convert(node, set()) for node in yaml.compose_all(text, Loader=Loader)]
    except RecursionError:
        raise SourceError(file, 1, "nested too deeply") from None
    except Repeated as error:
        raise SourceError(file, error.line, "anchors and aliases are not used here") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise SourceError(file, mark.line + 1 if mark else 1, f"not YAML: {getattr(error, 'problem', error)}") from None
    tables = [tree for tree in trees if isinstance(tree, Table)]
    if not tables or len(tables) < len(trees):
        raise SourceError(file, 1, "a table of keys is expected")
    return tables


class Repeated(Exception):
    """A node that stands in the tree twice, by an alias: it could grow without end."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


def _convert(node: Any, seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise Repeated(line)
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return Text(node.value, line)
    if isinstance(node, yaml.SequenceNode):
        rows = Rows(_convert(child, seen) for child in node.value)
        rows.line = line
        return rows
    table = Table()
    table.line, table.lines, table.repeated = line, {}, []
    for key, value in node.value:
        name, key_line = str(key.value), key.start_mark.line + 1
        if name in table:
            table.repeated.append((name, key_line))
        table[name] = _convert(value, seen)
        table.lines[name] = key_line
    return table
