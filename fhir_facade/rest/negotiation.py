"""What the client would like: media type (Accept), language (Accept-Language) and handling (Prefer).

https://hl7.org/fhir/R4/http.html#mime-type, RFC 9110 section 12.5, RFC 7240. Clients repeat the same headers,
so every answer is remembered.
"""

from __future__ import annotations

from functools import lru_cache

JSON_TYPES = ("application/fhir+json", "application/json", "text/json")
FORMATS = {*JSON_TYPES, "json", "application/fhir json"}  # an unescaped "+" in a query reads as a space
FHIR_VERSIONS = {"4.0", "4.0.1"}
NORWEGIAN = {"nb", "no", "nn"}


@lru_cache(maxsize=256)
def accepts_json(accept: bytes) -> bool:
    """Whether an Accept header leaves room for FHIR JSON: the most specific range decides, q=0 refuses."""
    ranges = [_media_range(part) for part in accept.decode("latin-1").split(",") if part.strip()]
    if not ranges:
        return True
    return any(_quality(name, ranges) > 0 for name in JSON_TYPES)


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
