"""The links of a searchset Bundle, and what the page token in one of them says when it comes back.

https://hl7.org/fhir/R4/http.html#paging. Each link is made of the place where its page begins and of nothing that the
server remembers. A search sent by POST keeps its terms out of every link: they travel inside the sealed token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_facade.contracts import Clause, Page, Sort
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.paging import PageToken
from fhir_facade.rest.parameters import RESULT_PARAMETERS, Asked
from fhir_facade.rest.query_string import join_pairs, pairs_of
from fhir_facade.rest.scope import Scope
from fhir_facade.rest.services import Services

BESIDE = tuple(name for name in RESULT_PARAMETERS if name != "_sort")
"""What may stand beside a token that hides its search: what shapes the page and restricts nothing."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page begins: behind a place in the total order or before it; () is the beginning or the end."""

    position: tuple[Any, ...] = ()
    backward: bool = False


def opened(services: Services, scope: Scope, asked: Asked, *, hidden: bool) -> tuple[Asked, bool, Start]:
    """Return the search that a page token belongs to, whether its terms stay out of links, and where it goes on.

    Refused when the token is no token of ours, is too old, or belongs to another search.
    """
    if not asked.page:
        return asked, hidden, Start()
    token = services.tokens.open(asked.page, services.now())
    if token.mappings != services.mapping_set.hash:
        raise Refused(Issue("page-token-outdated", "_page"))
    if token.hidden:
        asked, hidden = _unhidden(services, scope, asked, token.hidden), True
    if token.search != _search_hash(scope.path, asked.clauses, asked.sort):
        raise Refused(Issue("page-token-invalid", "_page"))
    return asked, hidden, Start(token.position, token.backward)


def _unhidden(services: Services, scope: Scope, asked: Asked, hidden: str) -> Asked:
    """The search that a token carries; what shapes the page may be asked for anew beside such a token."""
    given = {name for name, _ in asked.applied}
    if asked.ignored or not given.issubset(BESIDE):
        raise Refused(Issue("page-token-invalid", "_page"))
    pairs = [pair for pair in pairs_of(hidden.encode()) if pair[0] not in given] + asked.applied
    try:
        whole = scope.read(services, pairs, lenient=False)
    except Refused:  # a search of another type; what it asks is not for this answer to tell
        raise Refused(Issue("page-token-invalid", "_page")) from None
    return replace(whole, page=asked.page, indented=asked.indented, general=asked.general)


def _search_hash(path: str, clauses: Sequence[Clause], sort: Sequence[Sort]) -> str:
    """What a page token is bound to: where it is asked, the restrictions and the order."""
    parts = [path, sorted(map(repr, clauses)), [repr(key) for key in sort]]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def page_links(
    services: Services, path: str, asked: Asked, start: Start, page: Page, *, hidden: bool
) -> dict[str, str]:
    """The self link with what was applied; first, previous, next and last where there are other pages.

    The page before is the `_count` matches before the first one of this page, the next one those behind its last.
    """
    base = "/".join(filter(None, (services.base_url, path)))
    search = _search_hash(path, asked.clauses, asked.sort)
    carried = join_pairs(asked.applied) if hidden else ""
    now = services.now()

    terms = "" if hidden else join_pairs(asked.applied)
    general = join_pairs(asked.general)

    def link(start: Start) -> str:
        place = ""
        if start.position or start.backward or carried:
            token = PageToken(search, start.position, carried, start.backward, services.mapping_set.hash)
            place = f"_page={services.tokens.seal(token, now)}"  # in letters that may stand in a URL
        text = "&".join(filter(None, (terms, place, general)))
        return f"{base}?{text}" if text else base

    links = {"self": link(start)}
    before, behind = _neighbours(start, page)
    if asked.count and (before or behind):
        links["first"] = link(Start())
        if before:
            links["previous"] = link(before)
        if behind:
            links["next"] = link(behind)
        links["last"] = link(Start(backward=True))
    return links


def _neighbours(start: Start, page: Page) -> tuple[Start | None, Start | None]:
    """Where the page before begins and where the next one, if there are such pages.

    On the side that this page was reached from there was a match; it is not looked for again.
    """
    has_before = page.more if start.backward else bool(start.position)
    has_behind = bool(start.position) if start.backward else page.more
    if not page.matches:  # all that was here has gone: what is left lies on the other side
        return (Start(backward=True) if has_before else None), (Start() if has_behind else None)
    before = Start(page.matches[0].position, backward=True) if has_before else None
    return before, Start(page.matches[-1].position) if has_behind else None
