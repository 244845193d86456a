"""Every limit on what a client may send or ask, a row each: what is limited, by which setting, and the issue told.

The page docs/limits.md is printed from these rows, and a test breaks each of them over HTTP.
"""

from __future__ import annotations

from typing import NamedTuple

from fhir_facade.json_text import DEEPEST
from fhir_facade.rest.parameters import CLAUSE_LIMIT, VALUE_LIMIT
from fhir_facade.wire_limits import URL_LIMIT


class Limit(NamedTuple):
    """One limit: `by` names the setting that changes it, or says what it is where none does."""

    what: str
    by: str
    issue: str


LIMITS: tuple[Limit, ...] = (
    Limit("URL", f"{URL_LIMIT:,} bytes", "url-too-long"),
    Limit("Headers of a request together", "header_bytes", "headers-too-large"),
    Limit("Time until the headers are whole", "header_seconds", "headers-too-slow"),
    Limit("Time until the body is whole", "body_seconds", "body-too-slow"),
    Limit("Body that is a resource or a patch, as sent and unpacked", "resource_bytes", "body-too-large"),
    Limit("Body that is a Bundle, as sent and unpacked", "bundle_bytes", "body-too-large"),
    Limit("Body that is a batch carried out in parts, as sent and unpacked", "batch_bytes", "body-too-large"),
    Limit("Coding of a body", "gzip, or none", "coding-unsupported"),
    Limit("A packed body that is broken", "none", "body-not-unpacked"),
    Limit("Encoding, byte order marks and control characters of JSON", "RFC 8259", "json-not-json"),
    Limit("Levels of objects and lists in one another", f"{DEEPEST}", "json-too-deep"),
    Limit("Members of an object, or items of a list", "json_width", "json-too-wide"),
    Limit("Characters of a string or of a key", "json_string", "json-string-too-long"),
    Limit("Values in all", "json_values", "json-too-many-values"),
    Limit("Keys that stand twice in an object", "none", "json-duplicate-key"),
    Limit("Entries of a transaction", "transaction_entries", "bundle-entries-too-many"),
    Limit("Entries of a batch that is not carried out in parts", "batch_entries", "bundle-entries-too-many"),
    Limit("Parameters of a search", f"{CLAUSE_LIMIT}", "search-too-complex"),
    Limit("Values in the parameters of a search", f"{VALUE_LIMIT}", "search-too-complex"),
    Limit("Time that the database may take for an answer", "database_timeout", "store-too-slow"),
    Limit("Age of a link to another page", "page_life", "page-token-expired"),
    Limit("Requests that a process answers at a time", "requests_at_once", "server-busy"),
    Limit("Requests of one address at a time", "requests_of_client", "client-busy"),
    Limit("Requests of one address in a second", "requests_per_second", "client-too-fast"),
    Limit("Changes that wait for their turn", "write_queue", "writes-queued"),
)
