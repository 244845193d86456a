"""Rules as they stand in `profiles/npr/rules.yaml`, and a deployment's own file: read, judged and compiled.

Every row is whole in itself. A row that is wrong does not load: each fault is a finding with file and line. A
deployment's file adds rows under its own numbers, and switches rules off or to another severity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from fhir_facade.mapping.findings import MappingError, nearest
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.npr.functions import Codes
from fhir_facade.npr.graph import everything
from fhir_facade.npr.places import RuleFault
from fhir_facade.npr.row_reader import RowReader, texts
from fhir_facade.npr.rule_writer import Words
from fhir_facade.npr.to_rule import Compiled, RecordFault, compiled, told, told_all
from fhir_facade.yaml_text import Table

Severity = Literal["error", "warning", "information"]
Consequence = Literal[
    "reject-message", "drop-row", "drop-linked", "set-minus-one", "set-null", "set-zero", "not-isf", "not-counted",
    "replaced", "flagged", "indicator", "no-receipt", "none",
]  # fmt: skip
"""What the registry does: with the message, the record, the value, the payment, the statistics, or nothing."""

Teller = Callable[[Any, Any], Any]
"""(graph, record) → what is told of the record, None where nothing is."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "severity": get_args(Severity),
    "consequence": get_args(Consequence),
    "status": ("verified", "derived", "inferred"),
    "type": ("B", "E", "K", "O", "R", "T", "X"),
    "isf": ("true", "false"),
}
SWITCH = ("off", *get_args(Severity))
SECTORS = ("SOM", "PHV", "BUP", "TSB")
MUST = ("number", "type", "record", "require", "consequence", "severity", "status", "en", "nb", "remedy")
MAY = ("sector", "when", "needs", "acts", "source", "isf", "inferred")
FILE = ("sources", "tables", "terms", "rules", "switch")
NUMBER = re.compile(r"[A-Z]{2,10}-\d{1,5}").fullmatch
OURS = "NPR-"
EARLIER = "earlier"
SECTOR, UNIT, DAY = "sector", "unit", "happened"
"""Terms that findings are counted by; of a kind that has none they are those of a record that it refers to."""

LEFT = ("daysLeftAtStart", "daysLeftWaiting")
"""Terms that tell how many days of a time limit are left: when care began, and of who is waiting still."""

ANY = "any"
WHOLE = "all"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `records` are the kinds, or lists of a kind, that it is asked of; `needs` what a source must tell.

    `acts` is when the registry acts on a broken rule. `inferred` names what of a verified rule is our own reading."""

    number: str
    type: str
    records: tuple[str, ...]
    sectors: tuple[str, ...]
    when: str
    require: str
    needs: tuple[str, ...]
    acts: str
    consequence: Consequence
    severity: Severity
    status: str
    source: tuple[str, ...]
    en: str
    nb: str
    remedy_en: str
    remedy_nb: str
    isf: bool
    inferred: str
    at: str
    judges: Mapping[str, Compiled] = field(default_factory=dict, repr=False, hash=False, compare=False)


@dataclass(frozen=True)
class RuleSet:
    """The rules that are on, in the order of their numbers. `sector`, `unit` and `day` (CCYY-MM-DD) tell those of a
    record, by its kind; `left` the days that are left of a time limit; `words` is what expressions may name."""

    rules: tuple[Rule, ...]
    kinds: Kinds
    words: Words = field(repr=False)
    switched_off: tuple[str, ...] = ()
    sector: Mapping[str, Teller] = field(default_factory=dict)
    unit: Mapping[str, Teller] = field(default_factory=dict)
    day: Mapping[str, Teller] = field(default_factory=dict)
    left: tuple[Mapping[str, Teller], ...] = ()

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __getitem__(self, number: str) -> Rule:
        return next(rule for rule in self.rules if rule.number == number)

    def misfits(self, kind: Kind, name: str, child: str = "") -> Teller:
        """What tells the codes of a field that are in its list on no such day: of a record, or of a list's items."""
        wrong = f"{name}.codeFits() = false"
        return told_all(self.words, kind, f"{child}.where({wrong}).{name}" if child else f"iif({wrong}, {name}, {{}})")


def load_rules(file: Path, kinds: Kinds, codes: Codes, site: Path | None = None) -> RuleSet:
    """The rules of a file, with what a deployment's own file says; MappingError with every finding."""
    loader = _Loader(kinds, codes)
    for path in (file, site) if site else (file,):
        loader.file(path, own=path is site)
    if loader.findings:
        raise MappingError(loader.findings)
    on = [rule for rule in loader.rules.values() if loader.switches.get(rule.number) != "off"]
    switched: list[Rule] = []
    for rule in on:
        severity = loader.switches.get(rule.number)
        switched.append(replace(rule, severity=severity) if severity else rule)  # type: ignore[arg-type]
    off = tuple(sorted(number for number, said in loader.switches.items() if said == "off"))
    ordered = tuple(sorted(switched, key=lambda rule: rule.number))
    return RuleSet(
        ordered,
        kinds,
        loader.words,
        off,
        sector=loader.tellers(SECTOR),
        unit=loader.tellers(UNIT),
        day=loader.tellers(DAY),
        left=tuple(loader.own_tellers(term) for term in LEFT),
    )


class _Loader(RowReader):
    """Reads rule files one after the other; findings are gathered."""

    def __init__(self, kinds: Kinds, codes: Codes) -> None:
        super().__init__(kinds, codes)
        self.tells = everything(kinds) | {EARLIER}
        self.rules: dict[str, Rule] = {}
        self.switches: dict[str, str] = {}

    def file(self, path: Path, own: bool) -> None:
        """Take what a file says."""
        whole = self.opened(path)
        if whole is None:
            return
        self.keys(whole, (), FILE, "the file")
        self.take_words(whole)
        for row in whole.get("rules", ()):
            self._rule(row, own)
        switches = whole.get("switch", Table())
        for number, said in switches.items():
            if number not in self.rules:
                self.fault(switches.at(number), f"there is no rule {number}{nearest(number, self.rules)}")
            elif said not in SWITCH:
                self.fault(switches.at(number), f"'{said}' is none of {', '.join(SWITCH)}{nearest(said, SWITCH)}")
            self.switches[number] = str(said)

    def _rule(self, row: Any, own: bool) -> None:
        if not isinstance(row, Table):
            self.fault(1, "a rule is a table of keys")
            return
        if not self.keys(row, MUST, MAY, "a rule") or not self._right(row, own):
            return
        rule = self._made(row)
        judges = {}
        for record in rule.records:
            try:
                judges[record] = compiled(
                    self.words, rule.number, record, rule.when, rule.require, self._among(rule, record), rule.acts
                )
            except RecordFault as fault:
                self.fault(row.at("record"), str(fault))
                return
            except RuleFault as fault:
                self._misplaced(row, rule, record, fault)
                return
        self.rules[rule.number] = replace(rule, judges=judges)

    def _misplaced(self, row: Table, rule: Rule, record: str, whole: RuleFault) -> None:
        """Tell a fault at the key that makes it."""
        for key in ("when", "require", "acts"):
            try:
                compiled(self.words, rule.number, record, "", row.get(key, "true"))
            except RuleFault as fault:
                self.fault(
                    row.at(key if record.partition(".")[0] in self.kinds.by_name else "record"), f"{key}: {fault}"
                )
                return
        self.fault(row.at("sector"), str(whole))

    def _right(self, row: Table, own: bool) -> bool:
        """Whether the single values of a row are what they may be."""
        before = len(self.findings)
        number = row["number"]
        if not NUMBER(number) or (own and is_ours(number)):
            self.fault(row.at("number"), f"'{number}' is no number for a rule here, such as SITE-1")
        if number in self.rules:
            self.fault(row.at("number"), f"there is a rule {number} already")
        for key, allowed in CHOICES.items():
            self.choice(row, key, allowed)
        if not isinstance(row["remedy"], Table):
            self.fault(row.at("remedy"), "the remedy is a table of en and nb")
        else:
            self.keys(row["remedy"], ("en", "nb"), (), "a remedy")
        for sector in texts(row.get("sector")):
            if sector not in (*SECTORS, WHOLE):
                self.fault(row.at("sector"), f"there is no sector '{sector}'{nearest(sector, SECTORS)}")
        for need in texts(row.get("needs")):
            if need not in self.tells:
                self.fault(row.at("needs"), f"nothing tells of '{need}'{nearest(need, self.tells)}")
        return len(self.findings) == before

    def _made(self, row: Table) -> Rule:
        records = [str(each) for each in texts(row["record"])]
        return Rule(
            number=str(row["number"]),
            type=str(row["type"]),
            records=tuple(kind.name for kind in self.kinds) if records == [ANY] else tuple(records),
            sectors=tuple(each for each in texts(row.get("sector")) if each != WHOLE),
            when=str(row.get("when", "")),
            require=str(row["require"]),
            needs=tuple(texts(row.get("needs"))),
            acts=str(row.get("acts", "")),
            consequence=row["consequence"],
            severity=row["severity"],
            status=str(row["status"]),
            source=tuple(texts(row.get("source"))),
            en=str(row["en"]),
            nb=str(row["nb"]),
            remedy_en=str(row["remedy"]["en"]),
            remedy_nb=str(row["remedy"]["nb"]),
            isf=row.get("isf") == "true",
            inferred=str(row.get("inferred", "")),
            at=f"{self.name}:{row.line}",
        )

    def _among(self, rule: Rule, record: str) -> str:
        """The condition that a record is of one of the sectors of a rule."""
        kind = self.kinds.by_name.get(record.partition(".")[0])
        if not rule.sectors or kind is None:
            return ""
        listed = " | ".join(f"'{each}'" for each in rule.sectors)
        path = self.path(kind, SECTOR)
        if path is None:
            raise RuleFault(f"nothing tells the sector of {kind.name}")
        return f"{path} in ({listed})"

    def tellers(self, term: str) -> dict[str, Teller]:
        """What tells a term of a record, by its kind."""
        paths = {kind.name: self.path(kind, term) for kind in self.kinds}
        return {name: told(self.words, self.kinds[name], path) for name, path in paths.items() if path}

    def own_tellers(self, term: str) -> dict[str, Teller]:
        """What tells a term of a record, for the kinds that have it themselves."""
        named = [kind for kind in self.kinds if (kind.name, term) in self.terms]
        return {kind.name: told(self.words, kind, f"%{kind.name}.{term}") for kind in named}


def is_ours(number: str) -> bool:
    """Whether a rule came with the package: a deployment's have numbers of their own."""
    return number.startswith(OURS)
