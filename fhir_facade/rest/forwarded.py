"""The base URL as the client knows it, told by a proxy that is trusted: RFC 7239, or the X-Forwarded headers.

Nobody else is believed: a Host header or a forwarded one from elsewhere changes no link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.batches import shown

Headers = Mapping[bytes, bytes]
Hop = dict[str, str]

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?").fullmatch
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]+)\s*')
_ADDRESS = re.compile(r"\[([^\]]*)\](?::\w+)?|([0-9.]+)(?::\w+)?|([0-9A-Fa-f:.]+)").fullmatch
FORWARDED = (b"forwarded", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The addresses and networks of the proxies that are believed."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def of(cls, said: Iterable[str]) -> Proxies:
        """ValueError when one is neither an address nor a network."""
        return cls(tuple(ip_network(each.strip(), strict=False) for each in said))

    def trust(self, address: str) -> bool:
        """Whether this is the address of one of them, with or without port and brackets."""
        found = _ADDRESS(address.strip())
        if found is None:
            return False
        try:
            known = ip_address(found[1] or found[2] or found[3])
        except ValueError:
            return False
        mapped = getattr(known, "ipv4_mapped", None) or known  # ::ffff:10.0.0.1 is 10.0.0.1
        return any(mapped in network for network in self.networks)


def client_of(headers: Headers, peer: str, proxies: Proxies | None) -> str:
    """The address that a request comes from: what the outermost trusted proxy says, where the peer is one."""
    if proxies is None or not proxies.trust(peer):
        return peer
    try:
        said = [hop.get("for", "") for hop in _hops(headers.get(b"forwarded", b"").decode("latin-1"))]
    except Refused:
        said = []
    for address in reversed([each for each in said if each] or _listed(headers, b"x-forwarded-for")):
        if not proxies.trust(address):
            return address
    return peer


def base_url_of(headers: Headers, peer: str, proxies: Proxies, base: str, prefix: str) -> str:
    """The base URL of one request; `base` unless a trusted peer tells another. Refused when what it tells is no URL.

    `prefix` is the path that is served here, in place of that of `base` when the proxy tells what it took away.
    """
    if not any(name in headers for name in FORWARDED) or not proxies.trust(peer):
        return base
    said = _rfc_7239(headers, proxies) if b"forwarded" in headers else _x_forwarded(headers, proxies)
    known = urlsplit(base)
    host = said.get("host") or headers.get(b"host", b"").decode("latin-1") or known.netloc
    proto = said.get("proto", known.scheme).lower()
    taken = said.get("prefix", "")
    if proto not in ("http", "https") or not _HOST(host) or not _PREFIX(taken):
        wrong = "proto" if proto not in ("http", "https") else "prefix" if _HOST(host) else "host"
        raise Refused(Issue("forwarded-invalid", "", {"part": wrong}))
    return f"{proto}://{host}{taken.rstrip('/') + prefix if 'prefix' in said else known.path}"


def _rfc_7239(headers: Headers, proxies: Proxies) -> Hop:
    """What the outermost trusted proxy says of the request that it got; proxies add to the end of the list."""
    hops = _hops(headers[b"forwarded"].decode("latin-1"))
    at = len(hops) - 1
    while at > 0 and proxies.trust(hops[at].get("for", "")):
        at -= 1
    said: dict[str, str] = {}
    for hop in reversed(hops[at:]):  # the outermost goes before those within
        said |= {key: hop[key] for key in ("host", "proto") if key in hop}
    return said | _prefix(headers, len(hops) - 1 - at)


def _hops(text: str) -> list[dict[str, str]]:
    hops: list[dict[str, str]] = [{}]
    place = 0
    while place < len(text):
        found = _PAIR.match(text, place)
        if found is not None:
            value = found[2]
            hops[-1][found[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
            place = found.end()
        elif text[place] == ",":
            hops.append({})
            place += 1
        elif text[place] in "; \t":
            place += 1
        else:
            raise Refused(Issue("forwarded-invalid", "", {"part": shown("forwarded")}))
    return hops


def _x_forwarded(headers: Headers, proxies: Proxies) -> Hop:
    """The same from lists of their own: as many proxies as are trusted have added to their ends."""
    addresses = _listed(headers, b"x-forwarded-for")
    inner = 0
    while inner < len(addresses) and proxies.trust(addresses[-1 - inner]):
        inner += 1
    said = {}
    for key in ("host", "proto"):
        values = _listed(headers, f"x-forwarded-{key}".encode())
        if values:
            said[key] = values[max(0, len(values) - 1 - inner)]
    return said | _prefix(headers, inner)


def _prefix(headers: Headers, inner: int) -> Hop:
    values = _listed(headers, b"x-forwarded-prefix")
    return {"prefix": values[max(0, len(values) - 1 - inner)]} if values else {}


def _listed(headers: Headers, name: bytes) -> list[str]:
    return [each.strip() for each in headers.get(name, b"").decode("latin-1").split(",") if each.strip()]
