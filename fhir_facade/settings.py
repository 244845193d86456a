"""The settings of one server, from environment (FHIR_FACADE_…) or command line; for app and cli only."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, InstanceOf, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_facade.resources import data_root
from fhir_facade.store.location import Location, location

Place = Annotated[InstanceOf[Location], BeforeValidator(location)]
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
        default=30, ge=0, allow_inf_nan=False, description="Seconds until PostgreSQL gives a statement up; 0 is never."
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
    transaction_entries: int = Field(default=500, ge=1, description="Entries of the largest transaction that is taken.")
    batch_entries: int = Field(default=1000, ge=1, description="Entries of the largest batch that is taken.")
    write_queue: int = Field(
        default=256, ge=1, le=100_000, description="Changes that may wait for their turn in one process; else 503."
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

    @field_validator("base_url")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        """Links begin with it, so it is a whole http URL and nothing but that."""
        parts = urlsplit(value)
        port = parts.port  # ValueError when it is no port
        whole = parts.scheme in ("http", "https") and parts.hostname and port != 0
        if value and (not whole or "@" in parts.netloc or "?" in value or "#" in value or set(value) & set(' <>"\\')):
            raise ValueError("it is no base URL; https://fhir.example.no/fhir is one, without user, query or fragment")
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
