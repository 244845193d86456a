"""What the client would like: format (Accept), language (Accept-Language) and handling (Prefer).

https://hl7.org/fhir/R4/http.html#mime-type, RFC 9110 section 12.5, RFC 7240. Clients repeat the same headers,
so every answer is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

JSON, XML, NDJSON = "json", "xml", "ndjson"
MEDIA: Mapping[str, tuple[str, ...]] = {
    JSON: ("application/fhir+json", "application/json", "text/json"),
    XML: ("application/fhir+xml", "application/xml", "text/xml"),
    NDJSON: ("application/fhir+ndjson", "application/ndjson", "application/x-ndjson"),
}
"""The media types of each format, FHIR's own first: it is the one that answers bear."""
# an unescaped "+" in a query reads as a space
FORMATS: Mapping[str, str] = {
    spelling: name
    for name, types in MEDIA.items()
    for each in (name, *types)
    for spelling in (each, each.replace("+", " "))
}
FHIR_VERSIONS = {"4.0", "4.0.1"}
NORWEGIAN = {"nb", "no", "nn"}


@lru_cache(maxsize=256)
def accepted_format(accept: bytes, offered: tuple[str, ...]) -> str | None:
    """The format that an Accept header ranks first; the first of equals, None when it takes none of those offered.

    A format is worth the most that one of its media types is; for each of those the most specific range decides. What
    "*/*" leaves room for is what is sent: FHIR's own media type.
    """
    ranges = [_media_range(part) for part in accept.decode("latin-1").split(",") if part.strip()]
    if not ranges:
        return offered[0]
    ranked = [(-_quality_of_format(MEDIA[name], ranges), place) for place, name in enumerate(offered)]
    quality, place = min(ranked)
    return offered[place] if quality < 0 else None


@lru_cache(maxsize=256)
def named_format(value: str) -> str | None:
    """The format that a value of _format names, short or as a media type; None when it is none of ours."""
    name, *parameters = (part.strip() for part in value.lower().split(";"))
    for parameter in parameters:
        key, _, said = parameter.partition("=")
        if key.strip() == "fhirversion" and said.strip().strip('"') not in FHIR_VERSIONS:
            return None
    return FORMATS.get(name)


@lru_cache(maxsize=256)
def preferred(accept: bytes, offered: tuple[str, ...]) -> str | None:
    """The offered media type that an Accept header ranks first; the first of equals, None when it takes none."""
    ranges = [_media_range(part) for part in accept.decode("latin-1").split(",") if part.strip()]
    ranked = [(-_quality(name, ranges) if ranges else -1.0, place) for place, name in enumerate(offered)]
    quality, place = min(ranked)
    return offered[place] if quality < 0 else None


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in text.lower().split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        value = value.strip().strip('"')
        if key.strip() == "q":
            quality = _q(value)
        elif key.strip() == "fhirversion" and value not in FHIR_VERSIONS:
            return "", 0.0
    return name, quality


def _q(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _quality_of_format(names: tuple[str, ...], ranges: list[tuple[str, float]]) -> float:
    narrower = [each for each in ranges if each[0] != "*/*"]
    return max(_quality(names[0], ranges), *(_quality(name, narrower) for name in names[1:]))


def _quality(name: str, ranges: list[tuple[str, float]]) -> float:
    for candidate in (name, name.split("/", maxsplit=1)[0] + "/*", "*/*"):
        found = [quality for offered, quality in ranges if offered == candidate]
        if found:
            return max(found)
    return 0.0


@lru_cache(maxsize=256)
def language(accept_language: bytes) -> str:
    """ "nb" when the client ranks a Norwegian tongue before English, else "en"."""
    ranked = []
    for place, part in enumerate(accept_language.decode("latin-1").lower().split(",")):
        tag, _, rest = part.strip().partition(";")
        quality = _q(rest.strip()[2:]) if rest.strip().startswith("q=") else 1.0
        ranked.append((-quality, place, tag.split("-")[0]))
    for negative, _, primary in sorted(ranked):
        if negative < 0 and primary in NORWEGIAN:
            return "nb"
        if negative < 0 and primary == "en":
            return "en"
    return "en"


@lru_cache(maxsize=256)
def lenient(prefer: bytes) -> bool:
    """Whether Prefer says handling=lenient; of several handlings the first counts, quoted or not."""
    for part in prefer.decode("latin-1").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "lenient"
    return False
