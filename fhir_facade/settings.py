"""The settings of one server, from environment (FHIR_FACADE_…) or command line; for app and cli only."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, InstanceOf, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_facade.outbox.delivering import Terms
from fhir_facade.outbox.sending import Endpoint
from fhir_facade.outbox.verdicts import Pace
from fhir_facade.resources import data_root
from fhir_facade.store.location import Location, location

Place = Annotated[InstanceOf[Location], BeforeValidator(location)]
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}").fullmatch
_HEADER_TEXT = re.compile(r"[ -~]{0,8192}").fullmatch
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings):
    """Frozen; the page secret and the passwords of databases are masked when printed."""

    model_config = SettingsConfigDict(env_prefix="FHIR_FACADE_", env_ignore_empty=True, frozen=True, extra="forbid")

    database: Place = Field(
        default=Location("fhir-facade.db"),
        description="The SQLite file that holds the records, or postgresql://USER@HOST/DATABASE.",
    )
    database_replica: Place | None = Field(
        default=None, description="A PostgreSQL replica of the database, as a URL; all that is read comes from it."
    )
    database_pool: int = Field(
        default=8,
        ge=1,
        le=200,
        description="The most connections, and threads that use them, that one process reads with.",
    )
    database_timeout: float = Field(
        default=30,
        ge=0,
        allow_inf_nan=False,
        description="Seconds until the database gives a question up, and the answer is 503; 0 is never.",
    )
    mappings: Path = Field(
        default_factory=lambda: data_root("mappings"),
        description="The folder of mapping files; ours when left out.",
    )
    site_mappings: Path | None = Field(
        default=None, description="A folder of mapping files that change those or add to them."
    )
    profiles: Path | None = Field(
        default=None, description="The folder of StructureDefinitions that mappings may name beside ours."
    )
    terminology: Path | None = Field(
        default=None,
        description="The SQLite file of imported code systems, made with: fhir-facade terminology import.",
    )
    indicators: Path | None = Field(
        default=None, description="A file of indicators of your own, which may also switch ours on and off."
    )
    draft_indicators: bool = Field(
        default=False, description="Evaluates indicators too whose rule text is not known, as far as they can be."
    )
    measured_patients: int = Field(
        default=20_000, ge=1, description="The most patients that $evaluate-measure counts for one answer; else 422."
    )
    packages: tuple[Path, ...] = Field(
        default=(), description="FHIR packages (.tgz, folder or file) to validate by, as a JSON list of paths."
    )
    unknown_profile: Literal["error", "warning", "information", "off"] = Field(
        default="warning", description="What it is when a resource declares a profile that is not at hand."
    )
    rules: dict[str, Literal["error", "warning", "information", "off"]] = Field(
        default_factory=dict,
        description='Other severities of validation rules, as JSON: {"dom-6": "off"}.',
    )
    remainder: Literal["keep", "reject", "warn"] = Field(
        default="keep",
        description="What becomes of elements that no mapping row takes, when neither request nor mapping says it.",
    )
    npr_rules: Path | None = Field(
        default=None, description="A rule file of your own for Norsk pasientregister: more rules, and rules switched."
    )
    npr_patients: int = Field(
        default=500, ge=1, description="Patients that one answer of $npr-check is about at most; else 422."
    )
    read_only: bool = Field(default=False, description="Answers reads and searches only; nothing can be changed.")
    create_on_update: bool = Field(
        default=True, description="Lets an update (PUT) make a resource that is not there yet."
    )
    require_if_match: bool = Field(
        default=False, description="Changes nothing that is stored without If-Match; the answer is 428."
    )
    require_profiles: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Profiles that every resource of a type must keep to when it is written, as JSON by type.",
    )
    resource_bytes: int = Field(
        default=1024 * 1024, ge=1024, description="Bytes of the largest resource or patch that is taken; else 413."
    )
    bundle_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="Bytes of the largest batch or transaction that is taken."
    )
    batch_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=0,
        description="Bytes of the largest batch that is carried out some entries at a time. 0 turns that off.",
    )
    json_width: int = Field(
        default=10_000, ge=100, description="Members of an object, or items of a list, in what is sent; else 413."
    )
    json_string: int = Field(
        default=1024 * 1024, ge=100, description="Characters of a string or of a key in what is sent; else 413."
    )
    json_values: int = Field(default=1_000_000, ge=1000, description="Values in the JSON that is sent; else 413.")
    transaction_entries: int = Field(default=500, ge=1, description="Entries of the largest transaction that is taken.")
    batch_entries: int = Field(
        default=1000, ge=1, description="Entries of the largest batch that is carried out as a whole."
    )
    write_queue: int = Field(
        default=256, ge=1, le=100_000, description="Changes that may wait for their turn in one process; else 503."
    )
    requests_at_once: int = Field(
        default=200, ge=0, description="Requests that a process answers at a time; else 503. 0 is no limit."
    )
    requests_of_client: int = Field(
        default=0,
        ge=0,
        description="Requests of one address that a process answers at a time; else 429. 0 is no limit.",
    )
    requests_per_second: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="Requests a second of one address that a process takes, two seconds' worth at once; else 429. "
        "0 is no limit.",
    )
    header_bytes: int = Field(
        default=65_536, ge=4096, description="Bytes of the most headers that a request may have; else 431."
    )
    header_seconds: float = Field(
        default=10, gt=0, allow_inf_nan=False, description="Seconds within which a request's headers come; else 408."
    )
    body_seconds: float = Field(
        default=60, gt=0, allow_inf_nan=False, description="Seconds within which a request's body comes; else 408."
    )
    keep_alive_seconds: int = Field(
        default=5, ge=1, description="Seconds that a connection without a request is kept open."
    )
    outbox_url: str = Field(
        default="",
        description="The FHIR base URL of the record system that is told of every change; none is told if empty.",
    )
    outbox_token: SecretStr = Field(default=SecretStr(""), description="The bearer token of requests to it.")
    outbox_headers: dict[str, SecretStr] = Field(
        default_factory=dict, description='Other headers of requests to it, as JSON: {"X-Tenant": "1"}.'
    )
    outbox_timeout: float = Field(
        default=10, gt=0, le=600, description="Seconds until a request to it is given up and tried again."
    )
    outbox_parallel: int = Field(
        default=4, ge=1, le=64, description="Requests to it at a time; those of one patient come one after the other."
    )
    outbox_attempts: int = Field(
        default=500, ge=1, description="How often a change is tried; then it is dead until someone mends it."
    )
    outbox_first_wait: float = Field(
        default=1, gt=0, le=3600, description="Seconds before the second try of a change; doubled for each one more."
    )
    outbox_longest_wait: float = Field(default=300, gt=0, le=86_400, description="The most seconds between two tries.")
    outbox_dead: Literal["stand", "pass"] = Field(
        default="stand", description="Whether later changes of a patient wait behind a dead one or pass it by."
    )
    outbox_lease: float = Field(
        default=30, ge=3, le=3600, description="Seconds without a sign of the one who tells until another takes over."
    )
    outbox_keep: float = Field(
        default=7, ge=0, allow_inf_nan=False, description="Days that a line about what was delivered is kept."
    )
    base_url: str = Field(
        default="",
        description="What links begin with, https://fhir.example.no/fhir; made of host and port if empty.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description='Addresses and networks whose forwarded headers are believed, as JSON: ["10.0.0.0/8"].',
    )
    page_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Seals page tokens. Random when empty: then a restart or another worker refuses links. "
        "Several secrets, separated by spaces: the first seals, all open.",
    )
    page_life: int = Field(
        default=3600, ge=1, description="Seconds that links to other pages are good for; then the answer is 410."
    )
    explain: bool = Field(
        default=True, description="Answers _explain=true: the SQL of a search without its values, and its plan."
    )
    rendered_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        description="Bytes of rendered resources that a worker keeps, by the state of their records; 0 keeps none.",
    )
    synthetic_data: bool = Field(
        default=False,
        description="Declares that no real person is in the data; allows another address than loopback.",
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on.")
    workers: int = Field(default=1, ge=1, le=64, description="Processes that answer at the one address.")
    reload_mappings: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds between looks for changed mapping files, which are then taken into use; 0 is never.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="At info and below each request is one line; above, only faults."
    )

    @field_validator("base_url", "outbox_url")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        """Links begin with it, so it is a whole http URL and nothing but that."""
        parts = urlsplit(value)
        port = parts.port  # ValueError when it is no port
        whole = parts.scheme in ("http", "https") and parts.hostname and port != 0
        if value and (not whole or "@" in parts.netloc or "?" in value or "#" in value or set(value) & set(' <>"\\')):
            raise ValueError("it is no base URL; https://fhir.example.no/fhir is one, without user, query or fragment")
        return value

    @field_validator("outbox_headers")
    @classmethod
    def _are_headers(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, text in value.items():
            if not _HEADER(name) or not _HEADER_TEXT(text.get_secret_value()):
                raise ValueError("it is no header: a name of letters, digits and hyphens, and a printable text")
        return value

    @field_validator("outbox_token")
    @classmethod
    def _is_token(cls, value: SecretStr) -> SecretStr:
        if not _HEADER_TEXT(value.get_secret_value()):
            raise ValueError("it is no token: printable characters in one line")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each.strip(), strict=False)  # ValueError says which it is
        return value

    @model_validator(mode="after")
    def _replica_is_of_a_server(self) -> Settings:
        if self.database_replica is not None and not (self.database.is_server and self.database_replica.is_server):
            raise ValueError("a replica is one of a PostgreSQL database: both settings are URLs")
        return self

    @model_validator(mode="after")
    def _outbox_is_sealed(self) -> Settings:
        parts = urlsplit(self.outbox_url)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.synthetic_data:
            raise ValueError("what is told of changes goes by https, or to this machine: outbox_url")
        return self

    @property
    def outbox_terms(self) -> Terms:
        """How changes are told."""
        return Terms(
            Pace(self.outbox_attempts, self.outbox_first_wait, self.outbox_longest_wait),
            self.outbox_parallel,
            stands=self.outbox_dead == "stand",
            lease=self.outbox_lease,
            keep=self.outbox_keep * 86_400,
        )

    @property
    def outbox_endpoint(self) -> Endpoint:
        """Where changes are told."""
        headers = {name: text.get_secret_value() for name, text in self.outbox_headers.items()}
        if token := self.outbox_token.get_secret_value():
            headers["Authorization"] = f"Bearer {token}"
        return Endpoint(self.outbox_url, headers, self.outbox_timeout)

    @property
    def fhir_base(self) -> str:
        """The base URL without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.base_url or f"http://{host}:{self.port}/fhir").rstrip("/")

    @property
    def page_secrets(self) -> tuple[bytes, ...]:
        """The secrets for page tokens, the one that seals first; () when none is given."""
        return tuple(secret.encode() for secret in self.page_secret.get_secret_value().split())

    @property
    def address_is_allowed(self) -> bool:
        """Whether it may listen on `host`: without access control, loopback or synthetic data only."""
        return self.host in LOOPBACK or self.synthetic_data
