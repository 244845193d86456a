"""Where a store lives: a SQLite file, or a PostgreSQL database by its URL, whose password is never shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

SCHEMES = ("postgresql", "postgres")


class Location:
    """A place for records. Its text may hold a password: print the location, never `text`."""

    __slots__ = ("text",)

    def __init__(self, text: str | Path) -> None:
        """ValueError when it is a URL of another kind."""
        self.text = str(text)
        scheme, colon, _ = self.text.partition("://")
        if colon and scheme not in SCHEMES:
            raise ValueError("a database is the path of a SQLite file, or postgresql://user@host/database")

    @property
    def is_server(self) -> bool:
        """Whether it is the URL of a database server."""
        return "://" in self.text

    @property
    def path(self) -> Path:
        """The file, where it is one."""
        return Path(self.text)

    @property
    def is_missing(self) -> bool:
        """Whether it is a file that is not there; of a server nothing is known before it is asked."""
        return not self.is_server and not self.path.is_file()

    def __str__(self) -> str:
        """The path, or host and database; never user, password or parameters."""
        if not self.is_server:
            return self.text
        try:
            parts = urlsplit(self.text)
            port = f":{parts.port}" if parts.port else ""
            return f"postgresql://{parts.hostname or ''}{port}{parts.path}"
        except ValueError:
            return "postgresql://"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def location(given: str | Path | Location) -> Location:
    """The location that a text, a path or a location names."""
    return given if isinstance(given, Location) else Location(given)
