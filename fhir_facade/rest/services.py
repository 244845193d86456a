"""What a handler is given: the request as plain values, and the services that answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol
from zoneinfo import ZoneInfo

from fhir_facade.bundles.plan import MOST_ENTRIES
from fhir_facade.contracts import Explained, Known, Page, Query, Record, Stamp
from fhir_facade.json_text import LIMITS, JsonLimits
from fhir_facade.mapping.translating import Translations
from fhir_facade.npr.shipped import Indicators, shipped_rules
from fhir_facade.resources import data_root
from fhir_facade.rest.rendered import Rendered
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.validation_stream import plain_validator

if TYPE_CHECKING:
    from fhir_facade.mapping.care_dates import CareDates
    from fhir_facade.mapping.following import Referring
    from fhir_facade.mapping.mapping_set import MappingSet
    from fhir_facade.mapping.put import Policy
    from fhir_facade.mapping.to_where import SearchPlan
    from fhir_facade.npr.rules import RuleSet
    from fhir_facade.packages.registry import Packages
    from fhir_facade.profile.validator import Validator
    from fhir_facade.rest.answer import Answer
    from fhir_facade.rest.paging import PageTokens
    from fhir_facade.store.outbox import Outbox
    from fhir_facade.store.records import Store
    from fhir_facade.store.versions import Kept


if TYPE_CHECKING:
    Searches = SearchPlan | Referring | CareDates
    """How searches become SQL: of all that there is, or of a part of it."""


class SearchableStore(Protocol):
    """What HTTP asks of a store."""

    def scan(self, kind: str) -> Iterator[Record]:
        """Yield every whole record in key order."""
        ...

    def related(self, kind: str, link: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        """Return the whole records that point with `link` at the keys, by that key."""
        ...

    def count(self, kind: str) -> int:
        """Return how many records of a kind there are."""
        ...

    def check(self) -> None:
        """Ask the database for something small; Refused when it does not answer."""
        ...

    def briefly(self) -> AbstractContextManager[None]:
        """A time in which this thread may ask for what takes little; Unfinished when it would take more."""
        ...

    def get(self, kind: str, key: str) -> Record | None:
        """Return the whole record with its child lists, or None."""
        ...

    def get_many(self, kind: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the whole records that have one of the keys, by key."""
        ...

    def stamp(self, kind: str, key: str) -> Stamp | None:
        """Return the state of a record, or None."""
        ...

    def version(self, kind: str, key: str, number: int) -> Kept | None:
        """Return one version of a record as it was, or None."""
        ...

    def last_version(self, kind: str, key: str) -> Kept | None:
        """Return the newest version of a record, which may be its deletion; None when it never was."""
        ...

    def history(self, kind: str, key: str, count: int, *, before: int = 0, since: str = "") -> list[Kept]:
        """Return versions of a record, the newest first: below a version (0: all), from an instant on."""
        ...

    def history_of_kind(
        self, kind: str, count: int, *, after: tuple[str, str, int] | None = None, since: str = ""
    ) -> list[Kept]:
        """Return versions of all records of a kind, the newest first, behind a place (changed, key, version)."""
        ...

    def find(self, query: Query, search: Searches, known: Known | None = None) -> Page:
        """Return one page of matches in the total order; Refused when a value or a modifier is wrong.

        What is `known` of a match comes in place of its record.
        """
        ...

    def explain(self, query: Query, search: Searches) -> list[Explained]:
        """Return how each mapping of the type was searched."""
        ...


class Request:
    """One HTTP request without the framework; header names are lower-case bytes.

    `file` holds the body where that is larger than what is held in memory, and `first_entry` is the number of the first
    entry in the body, where that is a part of a batch.
    """

    __slots__ = (
        "body", "compartment", "file", "first_entry", "format", "headers", "id", "method", "query", "request_id",
        "type", "version",
    )  # fmt: skip

    def __init__(self, method: str, query: bytes, headers: dict[bytes, bytes], request_id: str) -> None:
        self.method = method
        self.query = query
        self.headers = headers
        self.request_id = request_id
        self.type = ""
        self.id = ""
        self.version = ""
        self.compartment = ""
        self.body: bytes | None = None
        self.format = "json"
        self.file: BinaryIO | None = None
        self.first_entry = 0


OSLO = ZoneInfo("Europe/Oslo")
MOST_VALIDATED = 4 * 1024 * 1024
MOST_MEASURED = 20_000


@cache
def plain_rules() -> RuleSet:
    """The registry's rules over the record kinds that are shipped."""
    return shipped_rules(data_root("mappings") / "records")


def clock() -> datetime:
    """This instant; the day of it in Norway is what codes are judged on when no date is given."""
    return datetime.now(UTC).astimezone(OSLO)


@dataclass(frozen=True)
class Writing:
    """What changes are made with. `profiles` are those that every resource of a type must keep to.

    `remainder` is what becomes of elements that no row takes. `create_on_update` lets an update make what is not
    there, `must_match` wants If-Match of every change. `most_entries` are those of a Bundle, by its type;
    `most_bytes` and `most_bundle_bytes` those of one resource or patch, and of a Bundle; `most_batch_bytes` those of a
    batch that is carried out some entries at a time, 0 where none is. `outbox` is where the record
    system is told of changes from, None where it is not told.
    """

    store: Store
    profiles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remainder: Policy = "keep"
    create_on_update: bool = True
    must_match: bool = False
    most_bytes: int = 1024 * 1024
    most_bundle_bytes: int = 16 * 1024 * 1024
    most_batch_bytes: int = 0
    most_entries: Mapping[str, int] = field(default_factory=lambda: MOST_ENTRIES)
    outbox: Outbox | None = None


@dataclass(frozen=True)
class Services:
    """What answers are made of. `base_url` ends without a slash; `statement` is what /metadata says.

    `translations` are the code maps of `mapping_set`; the lane makes both, whenever the mappings change.
    `packages` hold the profiles that /metadata lists. `validator` makes the validator when it is first needed; one
    request may bring `most_validated` bytes to it. `explain` says whether `_explain` is answered. `rendered` are
    resources of `mapping_set`. `writing` is None where the server is for reading only. `json_limits` are those
    of what is sent to be stored. `npr_rules` are the registry's, read when they are first needed; at most
    `npr_patients` are judged by them in one answer. `indicators` are counted over at most
    `most_measured` patients. `bad_row` logs a record that cannot be rendered, `failed` a fault of ours that is told
    inside an answer.
    """

    mapping_set: MappingSet
    store: SearchableStore
    base_url: str
    tokens: PageTokens
    version: str = "0"
    statement: bytes = b""
    catalogue: Catalogue = field(default_factory=Catalogue)
    translations: Translations = field(default_factory=lambda: Translations({}))
    now: Callable[[], datetime] = clock
    packages: Packages | None = None
    validator: Callable[[], Validator] = plain_validator
    most_validated: int = MOST_VALIDATED
    explain: bool = True
    rendered: Rendered = field(default_factory=lambda: Rendered(0))
    writing: Writing | None = None
    json_limits: JsonLimits = LIMITS
    npr_rules: Callable[[], RuleSet] = plain_rules
    npr_patients: int = 500
    indicators: Indicators = field(default_factory=Indicators)
    most_measured: int = MOST_MEASURED
    bad_row: Callable[[str, str, BaseException], None] = lambda mapping, row, error: None
    failed: Callable[[str, str, BaseException], None] = lambda route, request_id, error: None

    @property
    def known(self) -> Known | None:
        """How a store is told what is rendered already; None when nothing is kept."""
        return self.rendered.get if self.rendered.limit else None


@dataclass(frozen=True, slots=True)
class Interaction:
    """One row of the surface: a FHIR interaction or operation, how it is asked for and who answers.

    `operation` is the canonical of an operation's definition; `takes` are its parameters (name → type, example,
    meaning) and `answers` the types that it gives. A body that is a resource may be larger than a form, and be lines.
    `reads` says what the store is asked for: nothing, one record by its key, what may take longer or surely does, one
    change in one transaction, or what changes it otherwise.
    """

    code: str
    method: str
    template: str
    handler: Callable[[Services, Request], Answer]
    documentation: str
    takes_body: bool = False
    takes_resource: bool = False
    operation: str = ""
    takes: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    answers: tuple[str, ...] = ()
    reads: Literal["", "record", "page", "long", "change", "write"] = ""

    @property
    def changes(self) -> bool:
        """Whether what is stored may be changed."""
        return self.reads in ("change", "write")
