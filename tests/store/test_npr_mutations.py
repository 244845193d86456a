"""300 damaged messages: exactly the good part is stored, or nothing, and every refusal names its line.

What must be stored is worked out from the damaged tree by itself: an element that a fault touches is lost,
with the record it belongs to and all that points at it; the keys of what is left are read off the tree.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from fhir_facade.store.loading import Summary, load_files
from fhir_facade.store.npr_write import write_npr
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from tests.npr_sample import KINDS, TABLE

pytestmark = pytest.mark.slow

Node = Any  # an lxml element
NOW = "2026-01-01T00:00:00.000Z"
SEEDS = range(300)
NS = "{http://www.npr.no/xmlstds/53_1_3_ord}"
CONTAINERS = {"Melding", "Institusjon", "Objektholder", "Slett"}
RECORDS = {
    "Enhet", "Pasient", "PasientTilstand", "Omsorgsperson", "IndividuellPlan", "Henvisningsperiode",
    "Henvisning", "Barnevernet", "PlanlagtEpisode", "Episode", "Tvang", "Spesialistvedtak", "Maling",
    "Tilstand", "Henvisningstilstand",
}  # fmt: skip
ENVELOPE = {"Melding", "Kontaktperson"}
KEYS = {  # kind: where its element is, and where the parts of its key are ("#": the element's place)
    "enhet": ("Enhet", ["Institusjon@institusjonID", "Enhet@enhetID"]),
    "pasient": ("Pasient", []),
    "individuell_plan": ("IndividuellPlan", []),
    "parorende": ("Omsorgsperson", ["Omsorgsperson#"]),
    "pasienttilstand": ("PasientTilstand", ["PasientTilstand@henvisningsperiodeID", "PasientTilstand#"]),
    "henvisningsperiode": ("Henvisningsperiode", ["Henvisningsperiode@henvisningsperiodeID"]),
    "barnevern": ("Barnevernet", ["Henvisningsperiode@henvisningsperiodeID", "Barnevernet#"]),
    "henvisning": ("Henvisning", ["Henvisningsperiode@henvisningsperiodeID", "Henvisning@henvID"]),
    "henvisningstilstand": ("Henvisning/Henvisningstilstand/Tilstand/Kode", [
        "Henvisningsperiode@henvisningsperiodeID", "Henvisning@henvID", "Henvisningstilstand#",
        "Tilstand@tilstNr", "Kode@kodeNr"]),
    "planlagt_kontakt": ("PlanlagtEpisode", [
        "Henvisningsperiode@henvisningsperiodeID", "Henvisning@henvID", "PlanlagtEpisode@planlagtID"]),
    "opphold": ("Episode", ["Episode@episodeID"]),
    "tilstand": ("Episode/Tilstand/Kode", [
        "Episode@episodeID", "Tilstand@tilstNr", "Tilstand@akse", "Kode@kodeNr"]),
    "prosedyre": ("Episode/Tjeneste/Tiltak/Prosedyre/Kode", [
        "Episode@episodeID", "Tjeneste#", "Tiltak#", "Prosedyre@prosNr", "Kode@kodeNr"]),
    "vedtak": ("Spesialistvedtak", ["Episode@episodeID", "Spesialistvedtak@spesialistvedtakID"]),
    "tvangstiltak": ("Tvang", ["Episode@episodeID", "Tvang#"]),
    "maling": ("Maling", ["Episode@episodeID", "Maling#"]),
}  # fmt: skip


def name(node: Node) -> str:
    return str(etree.QName(node).localname)


def ring(node: Node) -> Iterator[Node]:
    """The element and those around it."""
    yield node
    yield from node.iterancestors()


def around(node: Node, wanted: str) -> Node:
    return next(one for one in ring(node) if name(one) == wanted)


class Tree:
    """A message with the elements that must not be stored."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.lost: set[Node] = set()
        self.places = {one: self.place(one) for one in root.iter()}

    @staticmethod
    def place(node: Node) -> int:
        return 1 + sum(1 for _ in node.itersiblings(node.tag, preceding=True))

    def all(self, *names: str) -> list[Node]:
        return [one for one in self.root.iter() if not names or name(one) in names]

    def lose(self, node: Node) -> None:
        """Mark the record that an element belongs to, and what depends on it."""
        node = self.record(node)
        if name(node) in CONTAINERS or node in self.lost:
            return
        self.lost.add(node)
        if name(node) == "Pasient":
            for other in node.getparent():
                self.lose(other)
        if name(node) == "Henvisningsperiode":
            for other in around(node, "Objektholder").iter(NS + "Episode", NS + "PasientTilstand"):
                if other.get("henvisningsperiodeID") == node.get("henvisningsperiodeID"):
                    self.lose(other)
        if name(node) == "Spesialistvedtak":
            for other in node.getparent().iter(NS + "Tvang"):
                if other.get("spesialistvedtakID") == node.get("spesialistvedtakID"):
                    self.lose(other)
        if name(node) == "Enhet":
            for other in node.getparent().iter(NS + "RefEnhet", NS + "Tjeneste", NS + "PostOpp"):
                named = {other.get(key) for key in ("enhetID", "tjenesteenhetID", "fagenhetID")}
                if node.get("enhetID") in named:
                    self.lose(other)

    def record(self, node: Node) -> Node:
        for one in ring(node):
            if name(one) in CONTAINERS | RECORDS or (name(one) == "Prosedyre" and self.in_stay(one)):
                return one
            if name(one) == "Kode" and (name(one.getparent()) == "Tilstand" or self.in_stay(one)):
                return one
        return node

    @staticmethod
    def in_stay(node: Node) -> bool:
        return any(name(one) == "Episode" for one in ring(node))

    def expected(self) -> dict[str, set[tuple[str, ...]]]:
        """The keys of everything that is not lost, by kind."""
        found: dict[str, set[tuple[str, ...]]] = {kind: set() for kind in KEYS}
        for kind, (path, parts) in KEYS.items():
            for node in self.root.iter(NS + path.rsplit("/", 1)[-1]):
                names = "/".join(reversed([name(one) for one in ring(node)]))
                if names.endswith("/" + path) and not any(one in self.lost for one in ring(node)):
                    first = [] if kind == "enhet" else ["Institusjon@institusjonID", "Objektholder@pasientNr"]
                    found[kind].add(tuple(self.part(node, part) for part in first + parts))
        return found

    def part(self, node: Node, part: str) -> str:
        if part.endswith("#"):
            return str(self.places[around(node, part[:-1])])
        element, attribute = part.split("@")
        return str(around(node, element).get(attribute) or "")

    def bytes(self) -> bytes:
        data: bytes = etree.tostring(self.root, encoding="UTF-8", xml_declaration=True)
        return data


def stored(store: SqliteStore) -> dict[str, set[tuple[str, ...]]]:
    return {
        kind: {
            tuple("" if one[part] is None else str(one[part]) for part in KINDS[kind].key) for one in store.scan(kind)
        }
        for kind in KEYS
    }


# --- what may happen to a message; each returns the bytes, and whether they are still a message


def drop(tree: Tree, rng: random.Random) -> bytes:
    """One patient, stay or unit is missing."""
    node = rng.choice(tree.all("Objektholder", "Episode", "Henvisningsperiode", "Enhet", "Spesialistvedtak"))
    text = tree.bytes()
    tree.lose(node)
    if name(node) == "Objektholder":
        tree.lost.add(node)
    copy = deepcopy(tree.root)
    gone = copy.xpath(tree.root.getroottree().getpath(node))[0]
    gone.getparent().remove(gone)
    assert len(text) > len(etree.tostring(copy))
    return bytes(etree.tostring(copy, encoding="UTF-8"))


def double(tree: Tree, rng: random.Random) -> bytes:
    """An element with a number of its own stands twice; the second does not count."""
    node = rng.choice(
        tree.all("Objektholder", "Episode", "Enhet", "Henvisning", "Spesialistvedtak", "Henvisningsperiode")
    )
    twin = deepcopy(node)
    node.addnext(twin)
    tree.lost.add(twin)
    return tree.bytes()


def spoil(tree: Tree, rng: random.Random) -> bytes:
    """A date is none."""
    node, key = rng.choice([
        (one, key) for one in tree.all() if name(one) not in ENVELOPE
        for key, value in one.items() if re.match(r"\d{4}-\d\d-\d\d", value)
    ])  # fmt: skip
    node.set(key, rng.choice(["2025-13-45", "i går", "2025-02-29", "", "2025-01-01T25:00:00", "0000-00-00"]))
    tree.lose(node)
    return tree.bytes()


def strip(tree: Tree, rng: random.Random) -> bytes:
    """An attribute that must be there is not."""
    node = rng.choice(tree.all("Episode", "Henvisning", "RefEnhet", "Pasient", "Kode", "Tidspunkt"))
    key = {"Episode": "debitor", "Henvisning": "komNrHjem", "RefEnhet": "typeEnhet", "Pasient": "kjonn",
           "Kode": "kodeVerdi", "Tidspunkt": "tidspunkt"}[name(node)]  # fmt: skip
    del node.attrib[key]
    tree.lose(node)
    return tree.bytes()


def strange(tree: Tree, rng: random.Random) -> bytes:
    """An attribute, element or text that no one knows."""
    node = rng.choice([one for one in tree.all() if name(one) not in ENVELOPE])
    match rng.randrange(4):
        case 0:
            node.set("hund", "1")
        case 1:
            node.insert(0, etree.Element(NS + "Hund"))
        case 2:
            node.insert(0, etree.Element("Episode"))
        case _:
            node.text = "hund"
    tree.lose(node)
    return tree.bytes()


def shuffle(tree: Tree, rng: random.Random) -> bytes:
    """Elements in another order, those of one name still in theirs: nothing is lost."""
    node = rng.choice(tree.all("Objektholder", "Episode", "Henvisning", "Henvisningsperiode"))
    children = list(node)
    names = [child.tag for child in children]
    rng.shuffle(names)
    queues = {tag: [child for child in children if child.tag == tag] for tag in names}
    node[:] = [queues[tag].pop(0) for tag in names]
    return tree.bytes()


def dangle(tree: Tree, rng: random.Random) -> bytes:
    """A reference to a unit or a period that is nowhere."""
    node = rng.choice(tree.all("RefEnhet", "Episode"))
    node.set("enhetID" if name(node) == "RefEnhet" else "henvisningsperiodeID", "nowhere")
    tree.lose(node)
    return tree.bytes()


def truncate(tree: Tree, rng: random.Random) -> bytes:
    data = tree.bytes()
    return data[: rng.randrange(len(data) - 5)]


def bomb(tree: Tree, rng: random.Random) -> bytes:
    entities = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    doctype = rng.choice([
        f"<!DOCTYPE Melding [{entities}]>", "<!DOCTYPE Melding>",
        '<!DOCTYPE Melding [<!ENTITY i SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE Melding SYSTEM "http://localhost:1/x.dtd">',
    ])  # fmt: skip
    text = etree.tostring(tree.root, encoding="unicode").replace("kjonn=", 'hund="&i;" kjonn=', 1)
    encoding = rng.choice(["utf-8", "utf-16", "iso-8859-1"])
    return f'<?xml version="1.0" encoding="{encoding}"?>{doctype}{text}'.encode(encoding, "xmlcharrefreplace")


def encode(tree: Tree, rng: random.Random) -> bytes:
    """Bytes that are not in the encoding they say."""
    text = etree.tostring(tree.root, encoding="unicode")
    said, used = rng.choice([("utf-8", "iso-8859-1"), ("utf-16", "utf-8"), ("ascii", "utf-8"), ("hund", "utf-8")])
    return f'<?xml version="1.0" encoding="{said}"?>{text}'.encode(used)


def scramble(tree: Tree, rng: random.Random) -> bytes:
    """A tag cut open: not well-formed."""
    data = tree.bytes()
    spots = [found.start() for found in re.finditer(rb"(?<=<)[A-Z]", data)]
    spot = rng.choice(spots)
    return data[:spot] + rng.choice([b"<", b"&", b"\x00", b'"', b"/"]) + data[spot:]


SOUND: list[Callable[[Tree, random.Random], bytes]] = [drop, double, spoil, strip, strange, shuffle, dangle]
BROKEN: list[Callable[[Tree, random.Random], bytes]] = [truncate, bomb, encode, scramble]


@pytest.fixture(scope="module")
def message() -> bytes:
    store = SqliteStore.open(":memory:", KINDS)
    load_into(store, KINDS, 12, 7, NOW)
    out = io.BytesIO()
    header = next(one for one in store.scan("melding") if one["modul"] == "ord")
    write_npr(store, out, TABLE, KINDS, "ord", header={**header, "leverandor": "Blåbær"})
    store.close()
    return out.getvalue()


def load(store: SqliteStore, data: bytes, folder: Path) -> Summary:
    path = folder / "message.xml"
    path.write_bytes(data)
    return load_files(store, KINDS, TABLE, [path], now=NOW)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = SqliteStore.open(":memory:", KINDS)
    yield opened
    opened.close()


def test_the_unharmed_message_is_stored_whole(message: bytes, store: SqliteStore, tmp_path: Path) -> None:
    assert load(store, message, tmp_path).exit_code == 0
    assert stored(store) == Tree(etree.fromstring(message)).expected()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_good_part_of_a_damaged_message_is_stored_or_nothing(
    seed: int, message: bytes, store: SqliteStore, tmp_path: Path
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    tree = Tree(etree.fromstring(message))
    harm = rng.choice(BROKEN if seed % 3 == 0 else SOUND)
    print(harm.__name__)
    before = store.digest()
    summary = load(store, harm(tree, rng), tmp_path)
    print("\n".join(summary.lines()))
    assert all(re.search(r"line \d+", issue.at) for issue in summary.issues)
    if harm in BROKEN:
        assert (summary.exit_code, store.digest()) == (1, before)
        assert not summary.counts
    else:
        assert stored(store) == tree.expected()
        assert summary.exit_code == (0 if harm is shuffle or (harm is drop and not summary.issues) else 1)
        stands = {kind: len(keys) for kind, keys in stored(store).items() if keys}
        assert stands == {kind: c["inserted"] for kind, c in summary.counts.items() if kind in KEYS and c["inserted"]}
