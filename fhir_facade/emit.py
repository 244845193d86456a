"""Write one Python function as text, compile it, and keep its source where tracebacks and people can find it."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_WORD = re.compile(r"[^A-Za-z0-9_]")


class Source:
    """Lines of a Python function under construction, with the values that it refers to by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self._indent = 0
        self._known: dict[tuple[str, int], str] = {}
        self._fresh = 0

    def line(self, text: str, origin: str = "") -> None:
        """Add a line; `origin` (mapping file:line) becomes its comment, so that a traceback shows the mapping."""
        comment = f"  # {origin}" if origin else ""
        self.lines.append(f"{'    ' * self._indent}{text}{comment}")

    @contextmanager
    def block(self, head: str, origin: str = "") -> Iterator[None]:
        """Open an indented block under `head`, which ends with a colon; one that stays empty passes."""
        self.line(head, origin)
        self._indent += 1
        begun = len(self.lines)
        yield
        if head and len(self.lines) == begun:
            self.line("pass")
        self._indent -= 1

    def bind(self, hint: str, value: Any) -> str:
        """Give a value a name in the function's globals; the same object keeps its name."""
        hint = _WORD.sub("_", hint)  # a hint may come from a file; only a name may enter the text
        known = self._known.get((hint, id(value)))
        if known is not None:
            return known
        name = hint if hint not in self.names else f"{hint}_{len(self.names)}"
        self.names[name] = value
        self._known[(hint, id(value))] = name
        return name

    def fresh(self, hint: str) -> str:
        """Return a local variable name that is not in use."""
        self._fresh += 1
        return f"{hint}{self._fresh}"

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def compile(self, name: str, tag: str) -> Callable[..., Any]:
        """Compile the lines and return the function called `name`; `tag` makes the generated file name unique."""
        filename = f"<generated {tag}>"
        code = compile(self.text, filename, "exec")
        exec(code, self.names)  # only literals of a checked mapping enter the text, never its words
        linecache.cache[filename] = (len(self.text), None, self.text.splitlines(keepends=True), filename)
        function: Callable[..., Any] = self.names[name]
        return function
