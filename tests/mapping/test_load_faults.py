"""A fault in a file of mappings/ stops the load, with file, line, and the nearest right name; nothing else is raised."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "mapping-language.md"
OPPHOLD = "opphold.encounter.yaml"
PASIENT = "pasient.patient.yaml"
SERIE = "konsultasjonsserie.episodeofcare.yaml"
TILSTAND = "tilstand.condition.yaml"
VEDTAK = "vedtak.servicerequest.yaml"
OMSORG = "codes/omsorgsniva-actcode.yaml"
SYSTEMS = "systems.yaml"
TRYGD = "trygd.coverage.yaml"
MALING = "records/maling.yaml"


@dataclass(frozen=True)
class Fault:
    """In `file`, `old` becomes `new`; a finding that `says` stands where `new` begins, or at the text `at` of `where`.

    `also` is a second change that the fault needs: file, old, new.
    """

    name: str
    file: str
    old: str
    new: str
    says: str
    at: str = ""
    where: str = ""
    also: tuple[str, str, str] = ("", "", "")


# fmt: off
FAULTS = [
    # the eight that the product promises to stop
    Fault("path typo", OPPHOLD, "fhir: period.start}\n  - {epj: utDatoTid", "fhir: period.strat}\n  - {epj: utDatoTid", "'strat': Encounter.period has no element 'strat' (did you mean 'start'?)"),
    Fault("field typo", OPPHOLD, "{epj: episodeFag,", "{epj: episodeFagg,", "opphold has no field 'episodeFagg' (did you mean 'episodeFag'?)"),
    Fault("wrong datatype", OPPHOLD, "fhir: extension(epikrise-dato).valueDate}", "fhir: length.value}", "field 'epikriseDato' is date, but Encounter.length.value is decimal"),
    Fault("code outside a required binding", SERIE, "finished if serieSlutt else", "finishd if serieSlutt else", "status: 'finishd' is not in required binding episode-of-care-status (did you mean 'finished'?)"),
    Fault("reference to a disallowed type", OPPHOLD, "fhir: subject, to: Patient", "fhir: subject, to: Organization", "'Encounter.subject' may not refer to Organization (only Patient, Group)"),
    Fault("missing required element", OPPHOLD, '  - {fhir: status, derive: "finished if utDatoTid else in-progress"}\n', "", "required element Encounter.status is made by no row", at="- {epj: $key, fhir: id"),
    Fault("non-invertible code map without a choice", OMSORG, 'reverse: {AMB: "3"}\n', "", "code map omsorgsniva-actcode is not invertible (3 and 8 -> AMB): add 'original: beside' or a 'reverse' choice", at="- {epj: omsorgsniva, fhir: class", where=OPPHOLD, also=(OPPHOLD, ", original: type}", "}")),
    Fault("field that goes nowhere", OPPHOLD, "  - {epj: episodeFag, fhir: serviceType, system: vol-8451}\n", "", "field 'episodeFag' goes nowhere: map it, or ignore it with a reason", at="mapping:"),
    # rows
    Fault("required element that may be missing", OPPHOLD, "{epj: omsorgsniva, fhir: class, codes: omsorgsniva-actcode, original: type}", "{epj: inntilstand, fhir: class, system: vol-8427}", "required element Encounter.class may be missing: inntilstand can be absent"),
    Fault("code of a coded element outside a required binding", "henvisningstilstand.condition.yaml", "condition-verification, provisional", "condition-verification, provisionall", "verificationStatus: 'provisionall' is not in required binding condition-ver-status (did you mean 'provisional'?)"),
    Fault("list that goes nowhere", OPPHOLD, "  - each: oppfolging\n    fhir: extension(oppfolging)\n    order: nr\n    rules:\n      - {epj: oppfolgingType, fhir: valueCoding, system: vol-8720}\n", "", "list 'oppfolging' goes nowhere: map it, or ignore it with a reason", at="mapping:"),
    Fault("field of a list that goes nowhere", OPPHOLD, "      - {epj: antall, fhir: extension(antall).valueInteger}\n", "", "field 'takster.antall' goes nowhere: map it, or ignore it with a reason", at="mapping:"),
    Fault("unknown row key", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, sytem: vol-8451", "a row has no key 'sytem' (did you mean 'system'?)"),
    Fault("key without meaning in its kind of row", OPPHOLD, "{epj: utDatoTid, fhir: period.end}\n  - {epj: fra", "{epj: utDatoTid, fhir: period.end, codes: kjonn-gender}\n  - {epj: fra", "'codes' means nothing in a row that is a plain value"),
    Fault("unknown kind of row", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, as: concpt, system: vol-8451", "no kind of row is called 'concpt' here (did you mean 'concept'?)"),
    Fault("row without a source", OPPHOLD, "  - {epj: polIndir, fhir: type, system: vol-8454}", "  - {fhir: length.unit}\n  - {epj: polIndir, fhir: type, system: vol-8454}", "a row needs 'epj', 'const', 'derive' or 'each'"),
    Fault("row without a path", OPPHOLD, "{epj: polIndir, fhir: type, system: vol-8454}", "{epj: polIndir, system: vol-8454}", "a row needs 'fhir'"),
    Fault("row that is a text", OPPHOLD, "  - {epj: polIndir, fhir: type, system: vol-8454}", "  - polIndir", "a row is a table such as {epj: ..., fhir: ...}"),
    Fault("value of the wrong shape", OPPHOLD, "fhir: type, system: vol-8454}", "fhir: type, system: [vol-8454]}", "'system' is a text"),
    Fault("unknown system", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, system: vol-84511", "no system 'vol-84511' (did you mean 'vol-8451'?)"),
    Fault("misspelt system", OPPHOLD, "fhir: identifier, system: episode-guid", "fhir: identifier, system: episode-giud", "no system 'episode-giud' (did you mean 'episode-guid'?)"),
    Fault("code of another list", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, system: vol-8452", "field 'episodeFag' is coded by list 8451, not by 8452"),
    Fault("no system at all", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType", "a concept needs one of 'codes', 'system', 'system-from' with 'systems'"),
    Fault("unknown code map", OPPHOLD, "codes: omsorgsniva-actcode", "codes: omsorgsniva-actcodes", "no code map 'omsorgsniva-actcodes' (did you mean 'omsorgsniva-actcode'?)"),
    Fault("unknown system table", TILSTAND, "systems: kodeverk", "systems: kodeverkk", "no table of systems 'kodeverkk' (did you mean 'kodeverk'?)"),
    Fault("unknown version field", TILSTAND, "version-from: kodeVersjon", "version-from: kodeVersion", "tilstand has no field 'kodeVersion' (did you mean 'kodeVersjon'?)"),
    Fault("original without a code map", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, system: vol-8451, original: beside", "without 'codes' the original is all there is: leave 'original' out"),
    Fault("assigner without its system", OPPHOLD, "system: episode, assigner: institusjonID, assigner-system: orgnr", "system: episode, assigner: institusjonID", "'assigner' and 'assigner-system' stand together"),
    Fault("unknown extension", OPPHOLD, "extension(kommunenummer)", "extension(komunenummer)", "no extension 'komunenummer' in systems.yaml (did you mean 'kommunenummer'?)"),
    Fault("field without a form in the datatype", OPPHOLD, "fhir: extension(kommunenummer).valueCoding, system: vol-3402", "fhir: extension(kommunenummer).valueCoding, as: identifier, system: vol-3402", "as identifier makes Identifier, but Encounter.extension.valueCoding is Coding"),
    Fault("unknown part of an extension", VEDTAK, "fhir: extension(dato).valueDate", "fhir: extension(datoen).valueDate", "extension 'klage' has no part 'datoen' (did you mean 'dato'?)"),
    Fault("wrong extension value type", OPPHOLD, "extension(permisjonsdogn).valueInteger", "extension(permisjonsdogn).valueString", "extension 'permisjonsdogn' holds integer, not valueString"),
    Fault("extension on the wrong type", OPPHOLD, "extension(permisjonsdogn).valueInteger", "extension(fodselsvekt).valueInteger", "extension 'fodselsvekt' is declared on Patient, not on Encounter"),
    Fault("label where nothing repeats", OPPHOLD, "{epj: utDatoTid, fhir: period.end}\n  - {epj: fra", '{epj: utDatoTid, fhir: "period[main].end"}\n  - {epj: fra', "'period' does not repeat, so it has no label [main]"),
    Fault("extension of a primitive without its underscore", PASIENT, "_district.extension", "district.extension", "'district' is a value: what is said of it stands in '_district.extension(...)'"),
    Fault("underscore before an object", PASIENT, '"name[main].family"', '"_maritalStatus.extension(middlename).valueString"', "'_maritalStatus': an underscore stands before a primitive element that does not repeat"),
    Fault("text that is no path", OPPHOLD, "fhir: serviceType,", "fhir: service-Type,", "'service-Type' is no step of a path"),
    Fault("two rows on one element", SERIE, "{epj: serieSlutt, fhir: period.end}", "{epj: serieSlutt, fhir: period.start}", "'period.start' is already written at konsultasjonsserie.episodeofcare.yaml:14"),
    Fault("two forms of one choice", PASIENT, "  - {epj: sivilstand, fhir: maritalStatus, system: vol-3103}", "  - {fhir: deceasedBoolean, const: true}\n  - {epj: sivilstand, fhir: maritalStatus, system: vol-3103}", "'deceasedBoolean' is already written at pasient.patient.yaml:26"),
    Fault("constant that the datatype cannot hold", PASIENT, "  - {epj: sivilstand, fhir: maritalStatus, system: vol-3103}", "  - {fhir: active, const: yess}\n  - {epj: sivilstand, fhir: maritalStatus, system: vol-3103}", "'yess' is no boolean"),
    Fault("constant for an object", PASIENT, "  - {epj: sivilstand, fhir: maritalStatus, system: vol-3103}", "  - {fhir: contact, const: none}\n  - {epj: sivilstand, fhir: maritalStatus, system: vol-3103}", "Patient.contact is BackboneElement: it cannot be a constant"),
    Fault("constant code of an unknown system", VEDTAK, "const: [referral-kind, vedtak]", "const: [referal-kind, vedtak]", "no system 'referal-kind' (did you mean 'referral-kind'?)"),
    Fault("constant code that its list lacks", PASIENT, "const: [confidentiality, R]", "const: [vol-3103, xx]", "'xx' is not in vol-3103"),
    Fault("derive without a test", SERIE, "finished if serieSlutt else active", "finished else active", "'finished' is no test; write: value if field, or value if field = 'code'"),
    Fault("unknown field in derive", SERIE, "finished if serieSlutt else active", "finished if serieSlut else active", "konsultasjonsserie has no field 'serieSlut' (did you mean 'serieSlutt'?)"),
    Fault("unknown guard field", PASIENT, 'when: {adressesperre: ["1"]}', 'when: {adresseperre: ["1"]}', "pasient has no field 'adresseperre' (did you mean 'adressesperre'?)"),
    Fault("unknown field in only", OPPHOLD, "only: {typeEnhet:", "only: {typeenhet:", "opphold.enheter has no field 'typeenhet' (did you mean 'typeEnhet'?)"),
    Fault("unknown list", OPPHOLD, "each: permisjoner", "each: permisjonar", "opphold has no list 'permisjonar' (did you mean 'permisjoner'?)"),
    Fault("list in a list", OPPHOLD, "      - {epj: antall, fhir: extension(antall).valueInteger}", "      - {epj: antall, fhir: extension(antall).valueInteger}\n      - {each: tiltak, epj: tiltakNr, fhir: extension(antall).valueInteger}", "a list cannot stand in a list", at="- {each: tiltak"),
    Fault("field that closes no reference", OPPHOLD, "  - {epj: serieID, fhir: episodeOfCare, to: EpisodeOfCare}", "  - {epj: bydel, fhir: episodeOfCare, to: EpisodeOfCare}\n  - {epj: serieID, fhir: episodeOfCare, to: EpisodeOfCare}", "field 'bydel' closes no reference of opphold"),
    Fault("reference to a kind without mapping", OPPHOLD, "{epj: henvisningsperiodeID, fhir: episodeOfCare, to: EpisodeOfCare}", "{epj: henvisningsperiodeID, fhir: basedOn, to: ServiceRequest}", "no mapping makes ServiceRequest of henvisningsperiode, so the reference would not resolve"),
    Fault("unknown type behind to", OPPHOLD, "fhir: subject, to: Patient", "fhir: subject, to: Patientt", "R4 has no resource type 'Patientt' (did you mean 'Patient'?)"),
    Fault("logical reference without type", OPPHOLD, "fhir: individual, system: hpr, type: Practitioner", "fhir: individual, system: hpr", "a logical reference needs 'system' and 'type'"),
    Fault("number in an identifier", OPPHOLD, "{epj: permisjonsdogn, fhir: extension(permisjonsdogn).valueInteger}", "{epj: permisjonsdogn, fhir: identifier, system: episode}", "field 'permisjonsdogn' is integer, but an identifier holds text: make the field text"),
    Fault("several fields for a code", OPPHOLD, "{epj: kontaktType,", "{epj: kontaktType | polIndir,", "only a plain value may name several fields"),
    Fault("free text in a required binding", PASIENT, "{epj: bruk, fhir: use, codes: adressebruk-addressuse}", "{epj: bruk, fhir: use, as: code}", "free text in required binding address-use of Patient.address.use: use codes"),
    Fault("code of a list in a required binding", PASIENT, "{epj: bruk, fhir: use, codes: adressebruk-addressuse}", "{epj: komNr, fhir: use, as: code}\n      - {epj: bruk, fhir: text}", "no code of list 3402 is in required binding address-use of Patient.address.use"),
    Fault("concept of a system outside a required binding", TILSTAND, "rules:\n", "rules:\n  - {epj: Kodeverk, fhir: clinicalStatus, system: vol-8410}\n", "no code of vol-8410 is in required binding condition-clinical of Condition.clinicalStatus: use 'codes'", at="- {epj: Kodeverk, fhir: clin"),
    Fault("code map of another source", "codes/innmatehast-actpriority.yaml", "source: vol-8428", "source: enhet", "field 'innmateHast' is coded by list 8428, but code map innmatehast-actpriority is of enhet", at="- {epj: innmateHast", where=OPPHOLD),
    Fault("unknown profile", TRYGD, "profile: http://fhir-facade.no/fhir/StructureDefinition/coverage-trygd", "profile: http://nord.no/stay", "no profile 'http://nord.no/stay' (known: http://fhir-facade.no/fhir/StructureDefinition/coverage-trygd)"),
    Fault("misspelt profile", OPPHOLD, "profile: http://fhir-facade.no/fhir/StructureDefinition/encounter-opphold", "profile: http://fhir-facade.no/fhir/StructureDefinition/encounter-oppholdd", "no profile 'http://fhir-facade.no/fhir/StructureDefinition/encounter-oppholdd' (did you mean 'http://fhir-facade.no/fhir/StructureDefinition/encounter-opphold'?)"),
    Fault("profile of another type", OPPHOLD, "profile: http://fhir-facade.no/fhir/StructureDefinition/encounter-opphold", "profile: http://fhir-facade.no/fhir/StructureDefinition/condition-tilstand", "profile condition-tilstand is of Condition, not of Encounter"),
    Fault("misspelt profile of a row", OPPHOLD, "http://fhir-facade.no/fhir/StructureDefinition/encounter-dogn", "http://fhir-facade.no/fhir/StructureDefinition/encounter-døgn", "no profile 'http://fhir-facade.no/fhir/StructureDefinition/encounter-døgn' (did you mean 'http://fhir-facade.no/fhir/StructureDefinition/encounter-dogn'?)", at="- {when: {omsorgsniva: [\"1\"], oppholdsdel"),
    Fault("slice of a profile that no row fills", VEDTAK, "const: [referral-kind, vedtak]", "const: [referral-kind, henvisning]", "profile servicerequest-vedtak requires category:slag (coding.system http://fhir-facade.no/fhir/CodeSystem/request-category, coding.code vedtak), which no row fills", at="profile: http"),
    Fault("no id", OPPHOLD, "  - {epj: $key, fhir: id, as: id}\n", "", "no row makes the id: {epj: $key, fhir: id, as: id}", at="rules:"),
    Fault("id of a field", OPPHOLD, "{epj: $key, fhir: id, as: id}", "{epj: episodeID, fhir: id, as: id}", "'as: id' makes the resource id: {epj: $key, fhir: id, as: id}"),
    Fault("id prefix too long", SERIE, "prefix: serie", "prefix: konsultasjonsserie", "id prefix 'konsultasjonsserie' is not up to 11 letters and digits"),
    Fault("id prefix of another mapping", SERIE, "prefix: serie", "prefix: periode", "id prefix 'periode' of EpisodeOfCare belongs to henvisningsperiode.episodeofcare.yaml"),
    Fault("stale ignore", OPPHOLD, "  prosedyrer: each", "  episodeFag: nobody asks for it\n  prosedyrer: each", "'episodeFag' is mapped, so it must not stand under ignore"),
    Fault("stale ignore of a field of a list", OPPHOLD, "ignore:\n", "ignore:\n  takster.antall: why\n", "'takster.antall' is mapped, so it must not stand under ignore", at="takster.antall"),
    Fault("stale ignore of a field that is only read back", OPPHOLD, "ignore:\n", "ignore:\n  polIndir: why\n", "'polIndir' is mapped, so it must not stand under ignore", at="polIndir: why", also=("", "fhir: type, system: vol-8454}", "fhir: type, only: from-fhir, system: vol-8454}")),
    Fault("ignored field that does not exist", OPPHOLD, "  prosedyrer: each", "  prosedyrar: each", "ignored field 'prosedyrar' does not exist in opphold (did you mean 'prosedyrer'?)"),
    Fault("ignore without reason", OPPHOLD, "  prosedyrer: each is a Procedure of its own that points to this Encounter", "  prosedyrer:", "'prosedyrer' is ignored without a reason"),
    Fault("duplicate YAML key", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, system: vol-8451, system: vol-8451", "key 'system' is written twice"),
    Fault("duplicate ignore", OPPHOLD, "  prosedyrer: each", "  prosedyrer: first\n  prosedyrer: each", "key 'prosedyrer' is written twice", at="  prosedyrer: each"),
    Fault("not YAML", OPPHOLD, "{epj: episodeFag, fhir: serviceType, system: vol-8451}", "{epj: episodeFag, fhir: serviceType, system: vol-8451", "not YAML: did not find expected ',' or '}'", at="- {epj: innmateHast"),
    Fault("alias", OPPHOLD, "{epj: episodeFag, fhir: serviceType, system: vol-8451}", "&row {epj: episodeFag, fhir: serviceType, system: vol-8451}\n  - *row", "anchors and aliases are not used here", at="- &row"),
    Fault("unknown record kind", OPPHOLD, "epj: opphold\n", "epj: oppholdd\n", "no record kind 'oppholdd' (did you mean 'opphold'?)"),
    Fault("unknown resource type", OPPHOLD, "fhir: Encounter\n", "fhir: Encountr\n", "R4 has no resource type 'Encountr' (did you mean 'Encounter'?)"),
    Fault("unknown key of a file", OPPHOLD, "version: 1.0.0", "versjon: 1.0.0", "a mapping file has no key 'versjon' (did you mean 'version'?)"),
    Fault("missing key of a file", OPPHOLD, "mapping: opphold-encounter\n", "", "'mapping' is missing", at="version"),
    Fault("name of another mapping", SERIE, "mapping: konsultasjonsserie-episodeofcare", "mapping: vedtak-servicerequest", "a second mapping is called 'vedtak-servicerequest'", at="mapping:", where=VEDTAK),
    # guards, lists, originals, absence, one direction
    Fault("guard that cannot be judged back", PASIENT, "fhir: maritalStatus, system: vol-3103", 'fhir: maritalStatus, system: vol-3103, when: {sivilstand: ["1"]}', "guard field 'sivilstand' is carried by no unguarded row, so the guard cannot be judged on the way back"),
    Fault("guard value that is no code", PASIENT, 'when: {adressesperre: ["1"]}', 'when: {adressesperre: ["11"]}', "guard 'adressesperre': '11' is not in list 1101 (did you mean '1'?)", at="- {fhir: meta.security"),
    Fault("key field that is not shown", OPPHOLD, "fhir: extension(takst)\n    order: nr\n", "fhir: extension(takst)\n", "key field 'nr' of list 'takster' is not shown: say 'order: nr', or map it", at="- each: takster"),
    Fault("list whose items cannot be aligned", OPPHOLD, "fhir: extension(takst)\n    order: nr\n", "fhir: extension(takst)\n", "list 'takster' has fields that are not shown and no key that is: items cannot be aligned on the way back", at="- each: takster", also=(OPPHOLD, "ignore:\n", "ignore:\n  takster.nr: only the place in the message\n")),
    Fault("order that is no number", OPPHOLD, "fhir: extension(tiltak)\n", "fhir: extension(tiltak)\n    order: typeTiltak\n", "'order' names a whole number, but 'typeTiltak' is code", at="order: typeTiltak"),
    Fault("original at a path that does not keep it", OPPHOLD, "original: type}", "original: typ}", "'original: typ': no row that always stands beside this one writes omsorgsniva's own code there (did you mean 'type'?)"),
    Fault("unknown mapping behind emit", OPPHOLD, "emit: tilstand-condition", "emit: tilstand-conditon", "no mapping of tilstand is called 'tilstand-conditon' (did you mean 'tilstand-condition'?)", at="- each: tilstander"),
    Fault("emit of a list that holds no records", OPPHOLD, "fhir: extension(takst)\n", "fhir: extension(takst)\n    emit: tilstand-condition\n", "'emit' is for a list of records, and 'takster' is none", at="- each: takster"),
    Fault("unknown reason for absence", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, absent: unknwon, system: vol-8451", "'unknwon' is no data-absent-reason (did you mean 'unknown'?)"),
    Fault("absence on a repeating primitive", PASIENT, '"name[main].given"}', '"name[main].given", absent: unknown}', "'absent' cannot stand on a repeating primitive"),
    Fault("absence of a list item", VEDTAK, "fhir: reasonCode, system: vol-8439", "fhir: reasonCode, absent: unknown, system: vol-8439", "'absent' cannot stand on a list item that is a value: give the list rows"),
    Fault("absence in a row that does not write", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, absent: unknown, only: from-fhir, system: vol-8451", "'absent' means nothing in a row that is only: from-fhir"),
    Fault("absence where another row writes", PASIENT, "fhir: city}", "fhir: district, absent: unknown}", "'absent' cannot stand here: another row writes in '_district'"),
    Fault("absence that waits for data in vain", OPPHOLD, "extension(permisjonsdogn).valueInteger}", "extension(permisjonsdogn).valueInteger, absent: unknown}", "'absent' of 'extension(permisjonsdogn).valueInteger' is written only beside data, and no other row writes data there"),
    Fault("row of no direction", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, only: to-epj, system: vol-8451", "'only' of a row is to-fhir or from-fhir"),
    Fault("default that is no code", OPPHOLD, "fhir: serviceType, system: vol-8451", "fhir: serviceType, default: x10, system: vol-8451", "'x10' is not in list 8451 (did you mean '610'?)"),
    Fault("default that is no number", OPPHOLD, "extension(permisjonsdogn).valueInteger}", "extension(permisjonsdogn).valueInteger, default: none}", "'none' is no whole number"),
    Fault("default of two fields", PASIENT, "{epj: fodselsdato | fodselsar, fhir: birthDate}", "{epj: fodselsdato | fodselsar, fhir: birthDate, default: 2000-01-01}", "a default belongs to one field"),
    Fault("unknown remainder", OPPHOLD, "fhir: Encounter\n", "fhir: Encounter\nremainder: drop\n", "'remainder' is keep, reject or warn, not 'drop'", at="remainder: drop"),
    Fault("Python pair that is not there", OPPHOLD, "fhir: serviceType, system: vol-8451", 'fhir: serviceType, python: "nowhere:pair"', "no Python pair 'nowhere:pair' can be imported: No module named 'nowhere'"),
    Fault("Python object that is no pair", OPPHOLD, "fhir: serviceType, system: vol-8451", 'fhir: serviceType, python: "math:pi"', "'math:pi' needs to_fhir, to_record and examples"),
    # record files, systems and code maps
    Fault("unknown field type", MALING, 'nr: {type: integer, assigned: true, required: true, npr: "Maling#"', 'nr: {type: integr, required: true, npr: "Maling#"', "field 'nr' has unknown type 'integr' (did you mean 'integer'?)"),
    Fault("text that the store is to number", MALING, "typeMaling: {type: text, ", "typeMaling: {type: text, assigned: true, ", "'assigned' is true or left out, and only an integer can be: 'typeMaling'"),
    Fault("column that is no name", MALING, "version: rad_versjon", "version: rad versjon", "'version' is a name of letters, digits and _, not 'rad versjon'"),
    Fault("unknown code list", MALING, "list: 9178", "list: 91780", "no code list '91780' (did you mean '9180'?)"),
    Fault("coded field without a list", MALING, "list: 9178, ", "", "coded field 'typeMalingKodet' names no code list", at="typeMalingKodet"),
    Fault("unknown judging date", MALING, "on: malingDatoTid", "on: malingDato", "'on' of 'typeMalingKodet' names no field: 'malingDato' (did you mean 'malingDatoTid'?)"),
    Fault("unknown field in a key", MALING, "key: [institusjonID, pasientNr, episodeID, nr]", "key: [institusjonID, pasientNr, episodeId, nr]", "key names no field: 'episodeId' (did you mean 'episodeID'?)"),
    Fault("unknown kind behind a reference", MALING, "opphold: {to: opphold,", "opphold: {to: oppholdet,", "no record kind 'oppholdet' (did you mean 'opphold'?)"),
    Fault("reference with too few fields", MALING, "opphold: {to: opphold, fields: [institusjonID, pasientNr, episodeID]}", "opphold: {to: opphold, fields: [institusjonID, episodeID]}", "reference 'opphold' needs a field for each of institusjonID, pasientNr, episodeID"),
    Fault("unknown key of a field", MALING, "typeMaling: {type: text, max: 100", "typeMaling: {type: text, maks: 100", "a field has no key 'maks'"),
    Fault("length that is no number", MALING, "typeMaling: {type: text, max: 100", "typeMaling: {type: text, max: long", "'max' is a whole number, not 'long'"),
    Fault("system without uri", SYSTEMS, '  country: {uri: "urn:iso:std:iso:3166", meaning: country}', "  country: {meaning: country}", "system 'country' has no uri"),
    Fault("unknown system in a table", SYSTEMS, "    B: bup-akser", "    B: bup-axer", "no system 'bup-axer' (did you mean 'bup-akser'?)"),
    Fault("unknown datatype of an extension", SYSTEMS, "  sektor: {value: Coding", "  sektor: {value: Codng", "extension 'sektor': R4 extensions hold no 'Codng' (did you mean 'Coding'?)"),
    Fault("extension with neither value nor parts", SYSTEMS, "  sektor: {value: Coding, on", "  sektor: {on", "extension 'sektor' needs either a value or parts"),
    Fault("extension on an unknown type", SYSTEMS, "value: Coding, on: [Organization], meaning: sector", "value: Coding, on: [Organisation], meaning: sector", "extension 'sektor': R4 has no 'Organisation' (did you mean 'Organization'?)"),
    Fault("code that the list lacks", OMSORG, '  "8": {to', '  "88": {to', "'88' is not in vol-8406 (did you mean '8'?)"),
    Fault("unknown target system", OMSORG, "target: {system: act-code,", "target: {system: act-cod,", "no system 'act-cod' (did you mean 'act-code'?)"),
    Fault("target outside the value set", OMSORG, '"2": {to: SS, display: short stay}', '"2": {to: PHARM}', "'PHARM' is not in http://terminology.hl7.org/ValueSet/v3-ActEncounterCode"),
    Fault("reverse that does not lead back", OMSORG, 'reverse: {AMB: "3"}', 'reverse: {AMB: "2"}', "reverse: '2' does not become 'AMB'"),
    Fault("unknown unmapped", OMSORG, "unmapped: provided", "unmapped: provide", "'unmapped' is provided or absent, not 'provide'"),
    Fault("unknown relation", OMSORG, "relation: wider", "relation: widder", "no relation 'widder' (did you mean 'wider'?)"),
]
# fmt: on


def spoil(tmp_path: Path, *faults: Fault) -> Path:
    """A copy of what is shipped, with faults."""
    folder = tmp_path / "mappings"
    shutil.copytree(SHIPPED, folder)
    for fault in faults:
        for name, old, new in [(fault.file, fault.old, fault.new), fault.also]:
            file = folder / (name or fault.file)
            text = file.read_text("utf-8")
            assert old in text, fault
            file.write_text(text.replace(old, new, 1), "utf-8")
    return folder


def place(folder: Path, fault: Fault) -> tuple[str, int]:
    """File name and line where a fault is expected."""
    file = folder / (fault.where or fault.file)
    text = file.read_text("utf-8")
    begins = text.index(fault.at or fault.new)
    if not fault.at:  # the first letter that differs
        pairs = zip(fault.old, fault.new, strict=False)
        begins += next((n for n, (one, other) in enumerate(pairs) if one != other), 0)
    return file.name, text.count("\n", 0, begins) + 1


def findings(folder: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(MappingError) as told:
        load_mapping_set(folder)
    return [(found.file, found.line, found.message) for found in told.value.findings if found.severity == "error"]


def test_the_untouched_copy_loads(tmp_path: Path) -> None:
    assert len(load_mapping_set(spoil(tmp_path)).mappings) == len(load_mapping_set(SHIPPED).mappings) > 15


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_stops_the_load_with_file_line_and_the_nearest_name(tmp_path: Path, fault: Fault) -> None:
    folder = spoil(tmp_path, fault)
    assert findings(folder) == [(*place(folder, fault), fault.says)]


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    folder = spoil(tmp_path)
    head, _ = (folder / TILSTAND).read_text("utf-8").split("rules:")
    (folder / TILSTAND).write_text(head + "rules: []\n", "utf-8")
    assert findings(folder) == [(TILSTAND, head.count("\n") + 1, "'rules' is empty")]


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    folder = spoil(tmp_path)
    (folder / TILSTAND).write_bytes(b"\xff\xfe\x00")
    (folder / VEDTAK).unlink()
    (folder / VEDTAK).mkdir()
    (folder / SERIE).write_text("[" * 5000, "utf-8")
    assert [name for name, _, _ in findings(folder)] == [SERIE, TILSTAND, VEDTAK]


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Two rows that are wrong in themselves, and two faults of the file as a whole."""
    names = ("path typo", "unknown extension", "stale ignore", "list that goes nowhere")
    chosen = [fault for fault in FAULTS if fault.name in names]
    folder = spoil(tmp_path, *chosen)
    assert findings(folder) == sorted((*place(folder, fault), fault.says) for fault in chosen)
    assert len(chosen) == 4


def test_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """Three files with a fault each."""
    chosen = [
        fault for fault in FAULTS if fault.name in ("unknown part of an extension", "unknown guard field", "field typo")
    ]
    folder = spoil(tmp_path, *chosen)
    assert findings(folder) == sorted((*place(folder, fault), fault.says) for fault in chosen)
    assert len(chosen) == 3


UNBOUND = """\
target: {system: act-code, value-set: "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode"}
map:
  "1": {to: IMP, display: inpatient encounter}
  "2": {to: SS, display: short stay}
"""


@pytest.mark.parametrize(
    ("file", "old", "new", "at", "says"),
    [
        (OMSORG, UNBOUND, UNBOUND.replace(", value-set: \"http://terminology.hl7.org/ValueSet/v3-ActEncounterCode\"", "").replace("to: SS, display: short stay", "to: PHARM"), "- {epj: omsorgsniva, fhir: class", "code map omsorgsniva-actcode: 2 -> PHARM is not in extensible binding v3-ActEncounterCode of Encounter.class"),
        (OPPHOLD, 'only: {typeEnhet: "7"}, ', "", "- {each: enheter, epj", "Encounter.serviceProvider holds one, so only the first of 'enheter' is written: choose it by 'only'"),
    ],
    ids=["code map outside an extensible binding", "list in one element"],
)  # fmt: skip
def test_a_warning_is_told_and_stops_nothing(tmp_path: Path, file: str, old: str, new: str, at: str, says: str) -> None:
    folder = spoil(tmp_path, Fault("", file, old, new, says))
    line = (folder / OPPHOLD).read_text("utf-8").split(at)[0].count("\n") + 1
    (warned,) = load_mapping_set(folder).warnings
    assert str(warned) == f"{OPPHOLD}:{line}: warning: {says}"


def test_a_folder_without_systems_is_no_folder_of_mappings(tmp_path: Path) -> None:
    with pytest.raises(MappingError) as told:
        load_mapping_set(tmp_path)
    said = f"systems.yaml:1: there is none in {tmp_path}, so it is no folder of mappings"
    assert [str(found) for found in told.value.findings] == [said]


def test_a_refused_row_is_not_also_told_as_missing(tmp_path: Path) -> None:
    """A typo in the row of a required element gives one finding, not one more that the element is missing."""
    typo = Fault("", OPPHOLD, "{fhir: status, derive", "{fhir: statu, derive", "")
    told = findings(spoil(tmp_path, typo))
    assert [message for _, _, message in told] == ["'statu': Encounter has no element 'statu' (did you mean 'status'?)"]


def test_the_page_on_the_language_shows_messages_that_are_told() -> None:
    shown = re.findall(r"^\| [^|]+ \| `([^`]+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {fault.says for fault in FAULTS} | {"'rules' is empty"}
    assert len(shown) > 60
    assert [message for message in shown if message not in told] == []
    assert told - set(shown) == set()


# ---- nothing but MappingError, whatever the files hold


def mutate(tree: Any, chance: random.Random) -> Any:
    """The tree with one to three of its parts dropped, replaced, doubled or shuffled."""
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(list(parts(tree)))
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1:
                holder[key] = chance.choice(
                    ["", "x", [], {}, [[]], [{}], {"x": "y"}, ["a", "b"], {"a": {}}, "^x", "$key", "-1"]
                )
            case 2:
                other, name = chance.choice(list(parts(tree)))
                holder[key] = yaml.safe_load(yaml.safe_dump(other[name]))
            case 3 if isinstance(holder[key], list):
                chance.shuffle(holder[key])
            case 3 if isinstance(holder, dict):
                holder[f"{key}x"] = holder.pop(key)
            case 4 if isinstance(holder[key], list):
                holder[key] += holder[key][:2]
            case _ if isinstance(holder[key], str):
                holder[key] = "".join(chance.sample(holder[key], len(holder[key])))
        if not list(parts(tree)):
            return tree
    return tree


def parts(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) of a tree."""
    inner = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in inner:
        yield tree, key
        yield from parts(value)


def spoilt_trees(seed: int, rounds: int) -> Iterator[tuple[str, str]]:
    """Name and text of one mutated file at a time, mapping files most often."""
    chance = random.Random(seed)
    groups = [sorted(SHIPPED.glob("*.*.yaml")), sorted(SHIPPED.glob("records/*.yaml"))]
    groups += [[SHIPPED / SYSTEMS], sorted(SHIPPED.glob("codes/*.yaml"))]
    for _ in range(rounds):
        file = chance.choice(chance.choices(groups, weights=[6, 2, 1, 1])[0])
        tree = yaml.load(file.read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 -- texts only, as the loader reads them
        yield file.relative_to(SHIPPED).as_posix(), yaml.dump(mutate(tree, chance), allow_unicode=True)


def loads(folder: Path) -> bool:
    try:
        mapping_set = load_mapping_set(folder)
    except MappingError as error:
        assert error.findings
        assert all(found.line > 0 and found.message and found.file for found in error.findings)
        return False
    compiled = [(mapping.to_fhir, mapping.to_bytes) for mapping in mapping_set.mappings.values()]
    assert compiled  # what the checks let through can be compiled
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_only_mapping_errors_come_of_spoilt_files(tmp_path: Path, seed: int) -> None:
    folder = spoil(tmp_path)
    loaded = 0
    for name, text in spoilt_trees(seed, 100):
        whole = (folder / name).read_text("utf-8")
        (folder / name).write_text(text, "utf-8")
        loaded += loads(folder)
        (folder / name).write_text(whole, "utf-8")
    assert loaded < 50
