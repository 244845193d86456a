"""Synthetic Norway: the same for the same seed, of valid records, covering every field of NPR-melding."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.store.synthetic import generate, load_into, write_ndjson
from fhir_facade.terminology.lists import code_lists

ROOT = Path(__file__).resolve().parents[2]
OSLO = ZoneInfo("Europe/Oslo")
Graph = dict[str, dict[str, Record]]

NEVER_FILLED = {
    "henvisning.tilstandsgruppe": "NPR decided not to collect it (NPR-088)",
}
MUNICIPALITIES_ABROAD = {"9000", "9900"}  # NPR's own numbers for people who live abroad, not in list 3402
CODE_LISTS_BY_LETTER = {
    "D": "7110", "H": "7170", "F": "7180", "K": "7210", "M": "7220", "R": "7270", "S": "7020", "N": "8740",
    "A": "8741", "T": "9327",
}  # fmt: skip
BORN_WELL = "Z380"  # in ICD-10, but the list at hand is a sample without it


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    return load_kinds(ROOT / "mappings" / "records")


@pytest.fixture(scope="module")
def stream() -> list[tuple[str, Record]]:
    return list(generate(2000, 7))


@pytest.fixture(scope="module")
def graph(kinds: Kinds, stream: list[tuple[str, Record]]) -> Graph:
    """Complete records by kind and key; fails when two records of a kind share a key."""
    found: Graph = defaultdict(dict)
    for name, record in stream:
        complete = kinds.complete(kinds[name], record)
        assert complete["$key"] not in found[name], f"{name} {complete['$key']} is given twice"
        found[name][complete["$key"]] = complete
    return found


def items(record: Record, child: ChildList) -> list[Record]:
    return record.get(child.name) or []


def places(kinds: Kinds, graph: Graph) -> Iterator[tuple[str, Kind, dict[str, Field], Record, Record]]:
    """Every record and every item of a list: where, the fields it may have, itself, and what is around it."""
    for kind in kinds:
        for record in graph[kind.name].values():
            yield kind.name, kind, dict(kind.fields), record, record
            for child in kind.own_lists():
                for item in items(record, child):
                    yield f"{kind.name}.{child.name}", kind, dict(child.fields), item, record


def moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=OSLO)


def numbered(graph: Graph, kind: str) -> list[Record]:
    return list(graph[kind].values())


# --- the same again


def digest(patients: int) -> str:
    lines = (orjson.dumps([kind, record], option=orjson.OPT_SORT_KEYS) for kind, record in generate(patients, 3))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def test_two_processes_with_other_hash_seeds_make_the_same_bytes() -> None:
    code = (
        "import hashlib, orjson; from fhir_facade.store.synthetic import generate;"
        "print(hashlib.sha256(b'\\n'.join(orjson.dumps([k, r], option=orjson.OPT_SORT_KEYS)"
        " for k, r in generate(300, 3))).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert runs == [digest(300), digest(300)]


def test_fewer_patients_are_the_beginning_of_more() -> None:
    few, many = list(generate(10, 5)), list(generate(100, 5))
    assert many[: len(few)] == few


def test_another_seed_makes_other_patients() -> None:
    assert list(generate(20, 1)) != list(generate(20, 2))


def test_ndjson_files_hold_the_records_of_the_stream(tmp_path: Path) -> None:
    heard: list[int] = []
    write_ndjson(tmp_path, 30, 5, heard.append)
    expected = defaultdict(list)
    for kind, record in generate(30, 5):
        expected[kind].append(record)
    read = {
        path.stem: [orjson.loads(line) for line in path.read_bytes().splitlines()] for path in tmp_path.glob("*.ndjson")
    }
    assert read == expected
    assert heard[-1] == 30


class Shelf:
    """A store that only takes records in: what is merged must point at what is there already."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Record]] = defaultdict(dict)
        self.transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Shelf]:
        self.transactions += 1
        yield self

    def merge(self, kind: Kind, records: Sequence[Record], now: str, *, supplied: None) -> None:
        for record in records:
            for link in kind.links.values():
                assert record["$" + link.name] is None or record["$" + link.name] in self.kept[link.to]
            self.kept[kind.name][record["$key"]] = record


def test_loading_merges_every_complete_record_after_what_it_points_at(kinds: Kinds) -> None:
    shelf, heard = Shelf(), list[int]()
    load_into(shelf, kinds, 250, 5, "2026-01-01T00:00:00.000Z", heard.append)
    assert sum(map(len, shelf.kept.values())) == len(list(generate(250, 5)))
    assert (shelf.transactions, heard) == (2, [199, 250])


# --- every record by its kind


def test_records_are_plain_and_of_the_type_and_length_of_their_fields(kinds: Kinds, graph: Graph) -> None:
    faults = []
    for place, kind, fields, record, _ in places(kinds, graph):
        for name, value in record.items():
            if name.startswith("$") or (record is not None and name in kind.children):
                continue
            if fault := _fault(fields[name], value):
                faults.append(f"{place}.{name}: {value!r} {fault}")
        for name, field in fields.items():
            if field.required != "no" and record.get(name) in (None, ""):
                faults.append(f"{place}.{name} is required")
    assert faults == []


def _fault(field: Field, value: object) -> str:
    if field.type == "integer":
        return "" if isinstance(value, int) and (not field.digits or len(str(value)) <= field.digits) else "no integer"
    if not isinstance(value, str) or value != value.strip() or not value:
        return "is no text"
    if field.type == "date" and date.fromisoformat(value).isoformat() != value:
        return "is no date"
    if field.type == "dateTime" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+01:00)?", value):
        return "is no dateTime"
    if field.digits and not (value.isdigit() and len(value) <= field.digits):
        return f"is not up to {field.digits} digits"
    return "is too long" if field.max_length and len(value) > field.max_length else ""


def test_the_stream_itself_has_no_derived_entries(stream: list[tuple[str, Record]]) -> None:
    assert [name for _, record in stream for name in record if name.startswith("$")] == []


def test_references_point_to_records_given_before(kinds: Kinds, stream: list[tuple[str, Record]]) -> None:
    known: dict[str, set[str]] = defaultdict(set)
    dangling = []
    for name, record in stream:
        kind = kinds[name]
        complete = kinds.complete(kind, record)
        ends = [(link.to, complete["$" + link.name]) for link in kind.links.values()]
        for child in kind.own_lists():
            ends += [(link.to, item["$" + link.name]) for item in complete[child.name] for link in child.links.values()]
        dangling += [(name, to, key) for to, key in ends if key is not None and key not in known[to]]
        known[name].add(complete["$key"])
    assert dangling == []


def test_list_items_have_keys_of_their_own(kinds: Kinds, graph: Graph) -> None:
    for kind in kinds:
        for child in kind.own_lists():
            for record in graph[kind.name].values():
                keys = [tuple(item[part] for part in child.key) for item in items(record, child)]
                assert len(keys) == len(set(keys)), f"{kind.name}.{child.name} of {record['$key']}"


def test_keys_are_readable(graph: Graph) -> None:
    hashed = [key for kind in graph for key in graph[kind] if key.startswith("x")]
    assert hashed == list(graph["melding"])  # their vendor name has a blank


def test_every_field_and_list_is_used(kinds: Kinds, graph: Graph) -> None:
    used = {
        f"{place}.{name}"
        for place, *_, record, _ in places(kinds, graph)
        for name in record
        if record[name] is not None
    }
    wanted = {f"{kind.name}.{name}" for kind in kinds for name in kind.fields}
    wanted |= {
        f"{kind.name}.{child.name}.{name}" for kind in kinds for child in kind.own_lists() for name in child.fields
    }
    own = {f"{kind.name}.{field}" for kind in kinds for field in (kind.version, kind.changed)}
    assert sorted(wanted - used - own) == sorted(NEVER_FILLED)


def test_codes_stand_in_their_lists_and_are_current(kinds: Kinds, graph: Graph) -> None:
    wrong = set()
    for place, _, fields, record, around in places(kinds, graph):
        for name, field in fields.items():
            code = record.get(name)
            if field.type != "code" or code is None or (field.code_list == "3402" and code in MUNICIPALITIES_ABROAD):
                continue
            known = code_lists()[field.code_list].codes.get(code)
            judged = record.get(field.judged_on) or around.get(field.judged_on) or ""
            if known is None or known.status or judged[:4] < (known.valid_from or "")[:4]:
                wrong.add((place, name, code))
    assert wrong == set()


def test_medical_codes_stand_in_the_system_of_their_letter(graph: Graph) -> None:
    coded = [
        *numbered(graph, "tilstand"),
        *numbered(graph, "prosedyre"),
        *numbered(graph, "henvisningstilstand"),
    ]
    coded += [item for record in graph["planlagt_kontakt"].values() for item in record["prosedyrekoder"]]
    for record in coded:
        known = {code.replace(".", "") for code in code_lists()[CODE_LISTS_BY_LETTER[record["Kodeverk"]]].codes}
        assert record["kodeVerdi"] in known | {BORN_WELL}
        assert re.fullmatch("20[0-9]{2}", record["kodeVersjon"])
    assert {record["Kodeverk"] for record in coded} == set(CODE_LISTS_BY_LETTER)


# --- persons and places


def controls(number: str) -> bool:
    digits = [int(digit) for digit in number]
    first = sum(a * b for a, b in zip(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), strict=False))
    second = sum(a * b for a, b in zip(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True))
    return first % 11 == 0 and second % 11 == 0


def test_identity_numbers_are_synthetic_with_right_control_digits_and_tell_birthday_and_sex(
    graph: Graph,
) -> None:
    people = numbered(graph, "pasient")
    for person in people:
        fid, born = person["fid"], date.fromisoformat(person["fodselsdato"])
        assert len(fid) == 11 and controls(fid)
        assert int(fid[2:4]) == born.month + 80
        assert int(fid[:2]) == born.day + (40 if person["typeID"] == "2" else 0)
        assert fid[4:6] == f"{born.year % 100:02}" and person["fodselsar"] == str(born.year)
        assert (int(fid[6:9]) >= 500) == (born.year >= 2000)
        assert person["kjonn"] == ("1" if int(fid[8]) % 2 else "2")
    assert {person["typeID"] for person in people} == {"1", "2"}
    assert len({person["fid"] for person in people}) == len(people)


def test_nothing_but_the_number_itself_repeats_an_identity_number(graph: Graph) -> None:
    for person in numbered(graph, "pasient"):
        rest = {name: value for name, value in person.items() if name != "fid"}
        assert person["fid"] not in orjson.dumps(rest).decode()
        assert re.fullmatch(r"P\d{6}", person["pasientNr"])


def test_organisation_numbers_are_right_and_of_a_series_that_is_not_given_out(kinds: Kinds, graph: Graph) -> None:
    found = {unit["institusjonID"] for unit in numbered(graph, "enhet")}
    found |= {unit["orgNr"] for unit in numbered(graph, "enhet") if "orgNr" in unit}
    for *_, record, _ in places(kinds, graph):
        found |= {value for name, value in record.items() if name.endswith("nstitusjonID") or name == "instID"}
    for number in found - {None}:
        assert number.startswith("8000") and len(number) == 9
        assert sum(int(d) * w for d, w in zip(number, (3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True)) % 11 == 0


def test_units_have_what_their_roles_ask_for(kinds: Kinds, graph: Graph) -> None:
    for name in ("henvisning", "opphold", "planlagt_kontakt"):
        for record in graph[name].values():
            roles = [item["typeEnhet"] for item in record["enheter"]]
            assert all(roles.count(role) == 1 for role in "127")
            for item in record["enheter"]:
                unit = graph["enhet"][item["$enhet"]]
                assert item["typeEnhet"] != "1" or unit["orgNr"]
                assert item["typeEnhet"] not in "27" or (unit["reshID"] and unit["offAvdKode"])


def test_districts_are_given_in_the_four_cities_only(kinds: Kinds, graph: Graph) -> None:
    for name in ("henvisning", "opphold"):
        for record in graph[name].values():
            assert ("bydel" in record) == (record["komNrHjem"] in {"0301", "4601", "5001", "1103"})


# --- the order of dates (domain dossier, 4.5) and the rules of single records


def test_referral_dates_come_in_their_order(graph: Graph) -> None:
    for referral in numbered(graph, "henvisning"):
        period = graph["henvisningsperiode"][referral["$henvisningsperiode"]]
        received, assessed = referral["mottaksDato"], referral.get("vurdDato")
        assert period["ansienDato"] <= received <= (assessed or received)
        if assessed:
            assert _working_days(received, assessed) <= 10
            assert {"henvVurd", "rettTilHelsehjelp", "omsnivahenv", "fagomrade"} <= set(referral)
            assert assessed <= referral.get("tildeltDato", assessed)
        ended = referral.get("ventetidSluttDato")
        assert (ended is None) == ("ventetidSluttKode" not in referral)
        assert ended is None or (assessed and received <= ended <= period.get("sluttDato", ended))
        if "sluttDato" in period:
            assert ended
        right = referral.get("rettTilHelsehjelp")
        emergency = referral.get("henvVurd") in ("4", "5")
        assert ("fristStartBehandling" in referral) == (right == "3" and not emergency)
        late = max(referral.get("tildeltDato", ""), "") > referral.get("fristStartBehandling", "9")
        assert not (late and referral.get("varslingHelfo") == "1")
        assert (referral.get("varslingHelfo") in ("2", "3")) == ("datoFormidlet" in referral)
        for put_off in referral["utsettelser"]:
            assert received <= put_off["utsettDato"] <= (ended or put_off["utsettDato"])


def _working_days(start: str, end: str) -> int:
    first, last = date.fromisoformat(start).toordinal(), date.fromisoformat(end).toordinal()
    return sum(date.fromordinal(day).weekday() < 5 for day in range(first + 1, last + 1))


def test_no_clock_stands_at_midnight(kinds: Kinds, graph: Graph) -> None:
    for place, _, fields, record, _ in places(kinds, graph):
        for name, field in fields.items():
            if field.type == "dateTime" and record.get(name):
                assert "T00:00" not in record[name], f"{place}.{name}"
                local = moment(record[name]).astimezone(OSLO)
                assert local.astimezone(ZoneInfo("UTC")).astimezone(OSLO).replace(tzinfo=None) == local.replace(
                    tzinfo=None
                )


def test_times_lie_inside_their_stay(kinds: Kinds, graph: Graph) -> None:
    inside = ("permisjoner", "postopphold", "tidspunkter", "tjenester", "tiltak")
    for stay in numbered(graph, "opphold"):
        start, end = moment(stay["innDatoTid"]), moment(stay.get("utDatoTid", "2025-06-30T23:59:59"))
        assert start <= end <= moment("2025-06-30T23:59:59")
        times = [
            value
            for name in inside
            for item in stay[name]
            for field, value in item.items()
            if kinds["opphold"].children[name].fields.get(field, None)
            and kinds["opphold"].children[name].fields[field].type == "dateTime"
        ]
        assert all(start <= moment(time) <= end for time in times), stay["$key"]
        closed = graph["henvisningsperiode"][stay["$henvisningsperiode"]].get("sluttDato")
        assert closed is None or stay.get("utDatoTid", "9")[:10] <= closed
        assert stay.get("epikriseDato", "9") >= stay.get("utDatoTid", "")[:10]


def test_decisions_and_measures_lie_inside_their_stay(graph: Graph) -> None:
    timed = {"vedtak": ["datoSpesialistVedtak"], "tvangstiltak": ["tidspunktStart", "tidspunktStopp"]}
    for name, fields in {**timed, "maling": ["malingDatoTid"]}.items():
        for record in numbered(graph, name):
            stay = graph["opphold"][record["$opphold"]]
            times = [moment(record[field]) for field in fields if field in record]
            assert times == sorted(times)
            assert moment(stay["innDatoTid"]) <= times[0]
            assert times[-1] <= moment(stay.get("utDatoTid", "2025-06-30T23:59:59"))
    for measure in numbered(graph, "tvangstiltak"):
        decision = graph["vedtak"][measure["$vedtak"]]
        assert decision["datoSpesialistVedtak"] <= measure["tidspunktStart"]
        assert all(complaint["datoKlage"] >= measure["datoVedtak"] for complaint in measure["klager"])
    for decision in numbered(graph, "vedtak"):
        assert all(item["datoKlage"] >= decision["datoSpesialistVedtak"][:10] for item in decision["klager"])
        compulsory = decision["typeFormalitet"] in ("4", "6", "51")
        assert (decision["fattetAv"] in "12") == compulsory
        assert decision["vilkar"] or decision["typeFormalitet"] not in ("6", "51", "52")


def test_stays_keep_the_rules_of_their_part(graph: Graph) -> None:
    for stay in numbered(graph, "opphold"):
        inpatient = stay["oppholdsdel"] == "AvdOpp"
        assert inpatient == (stay["omsorgsniva"] == "1")
        assert inpatient == bool(stay["postopphold"]) == ("kontaktType" not in stay) == ("stedAktivitet" not in stay)
        assert ("utDatoTid" in stay) == ("utTilstand" in stay)
        assert inpatient or stay["utDatoTid"][:10] <= _day_after(stay["innDatoTid"])
        assert (stay.get("kontaktType") == "5") == ("polIndir" in stay) == ("fraSted" not in stay)
        assert (stay.get("polIndir") in ("2", "22", "23", "71")) == bool(stay["samarbeidsparter"])
        assert (stay.get("fraSted") in ("3", "99")) == ("fraInstitusjonID" in stay)
        assert (stay.get("tilSted") in ("3", "99")) == ("tilInstitusjonID" in stay)
        assert [person["rolle"] for person in stay["helsepersonell"]].count("1") == (0 if inpatient else 1)
        assert (stay["debitor"] == "90") == ("fbvTjenesteEpisode" in stay)


def _day_after(text: str) -> str:
    return date.fromordinal(date.fromisoformat(text[:10]).toordinal() + 1).isoformat()


def test_direct_stays_have_a_main_condition_and_psychiatry_a_legal_basis(graph: Graph) -> None:
    main = {condition["$opphold"] for condition in numbered(graph, "tilstand") if condition["tilstNr"] == 1}
    decided = {decision["$opphold"] for decision in numbered(graph, "vedtak")}
    for key, stay in graph["opphold"].items():
        assert (key in main) == (stay.get("kontaktType") != "5")
        adult_psychiatry = stay["enheter"][0]["enhetID"] in ("S2", "S4")
        assert (key in decided) == adult_psychiatry


def test_condition_numbers_have_no_gaps_and_axes_hold_their_codes(graph: Graph) -> None:
    by_stay: dict[str, list[Record]] = defaultdict(list)
    for condition in numbered(graph, "tilstand"):
        by_stay[condition["$opphold"]].append(condition)
    ranges = {"1": r"F.*", "2": r"F8.*", "3": r"F7.*", "4": r".*", None: r".*"}
    for key, conditions in by_stay.items():
        assert sorted({item["tilstNr"] for item in conditions}) == list(
            range(1, len({i["tilstNr"] for i in conditions}) + 1)
        )
        stay = graph["opphold"][key]
        for item in conditions:
            assert re.fullmatch(ranges[item.get("akse")], item["kodeVerdi"])
            assert ("akse" in item) == (stay["enheter"][0]["enhetID"] == "S3")
            assert (item["innDatoTid"], item.get("utDatoTid")) == (stay["innDatoTid"], stay.get("utDatoTid"))


def test_procedures_repeat_the_service_of_their_stay(graph: Graph) -> None:
    for procedure in numbered(graph, "prosedyre"):
        stay = graph["opphold"][procedure["$opphold"]]
        service = next(item for item in stay["tjenester"] if item["tjenesteNr"] == procedure["tjenesteNr"])
        for name in ("instID", "tjenesteenhetID", "startDatoTid", "sluttDatoTid", "tjenesteFag"):
            assert procedure.get(name) == service.get(name)
        assert procedure["typeTiltak"] == stay["tiltak"][0]["typeTiltak"]


def test_people_from_abroad_say_who_pays_and_newborns_their_weight_and_age(graph: Graph) -> None:
    stays = numbered(graph, "opphold")
    for stay in stays:
        period = graph["henvisningsperiode"][stay["$henvisningsperiode"]]
        person = graph["pasient"][stay["$pasient"]]
        assert (
            (stay["komNrHjem"] in MUNICIPALITIES_ABROAD)
            == (stay["debitor"] in ("11", "12"))
            == ("trygdenasjon" in period)
        )
        age = (date.fromisoformat(stay["innDatoTid"][:10]) - date.fromisoformat(person["fodselsdato"])).days
        assert age >= 0 and stay.get("alderIDager") == (age if age < 365 else None)
        assert age >= 100 or "fodselsvekt" in person
        assert (stay["inntilstand"] == "3") == (age == 0)
    assert {stay["debitor"] for stay in stays} >= {"1", "11", "12", "90"}


def test_the_dead_do_not_come_back(graph: Graph) -> None:
    dead = {key: person["dodsdato"] for key, person in graph["pasient"].items() if "dodsdato" in person}
    assert dead
    for stay in numbered(graph, "opphold"):
        died = dead.get(stay["$pasient"])
        assert died is None or stay["utDatoTid"][:10] <= died
        assert stay.get("utTilstand") != "2" or stay["utDatoTid"][:10] == died


def test_some_contacts_end_in_the_second_pass_of_the_doubled_hour_and_some_span_the_missing_one(
    graph: Graph,
) -> None:
    stays = numbered(graph, "opphold")
    doubled = [stay for stay in stays if stay.get("utDatoTid", "").endswith("+01:00")]
    assert len(doubled) > 1
    assert all("-10-" in stay["innDatoTid"] and "T02:" in stay["innDatoTid"] for stay in doubled)
    assert all(moment(stay["innDatoTid"]) < moment(stay["utDatoTid"]) for stay in doubled)
    assert any(stay["utDatoTid"][:19] < stay["innDatoTid"] for stay in doubled)
    assert any(
        "-03-" in s["innDatoTid"] and "T01:" in s["innDatoTid"] and "T03:" in s.get("utDatoTid", "") for s in stays
    )


def test_series_hold_several_contacts_of_one_period(graph: Graph) -> None:
    contacts: dict[str, list[Record]] = defaultdict(list)
    for stay in numbered(graph, "opphold"):
        if stay["$serie"]:
            contacts[stay["$serie"]].append(stay)
    assert max(map(len, contacts.values())) > 2
    for key, series in graph["konsultasjonsserie"].items():
        assert {stay["$henvisningsperiode"] for stay in contacts[key]} == {series["$henvisningsperiode"]}
        assert series["serieStart"] == min(stay["innDatoTid"] for stay in contacts[key])[:10]


def test_every_walk_of_care_is_taken(graph: Graph) -> None:
    stays = numbered(graph, "opphold")
    assert {stay["enheter"][0]["enhetID"] for stay in stays} == {"S1", "S2", "S3", "S4"}
    assert {stay["omsorgsniva"] for stay in stays} == {"1", "2", "3", "8"}
    assert {stay["innmateHast"] for stay in stays} == {"1", "4"}
    assert any("utDatoTid" not in stay for stay in stays)
    assert {person["adressesperre"] for person in numbered(graph, "pasient")} == {"1", "2"}
    assert {decision["typeFormalitet"] for decision in numbered(graph, "vedtak")} >= {
        "1",
        "4",
        "6",
        "21",
        "51",
        "91",
    }


def test_addiction_care_that_has_ended_says_how_and_what_follows(graph: Graph) -> None:
    ended = [stay for stay in numbered(graph, "opphold") if "sluttKode" in stay]
    assert ended
    assert all(stay["oppfolging"] and stay["enheter"][0]["enhetID"] == "S4" for stay in ended)
