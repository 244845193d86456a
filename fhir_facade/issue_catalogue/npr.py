"""What is told of the rules of the patient registry."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "npr-rule-broken": (
        "error", "business-rule", 200,
        "{rule} in {place}: {sentence} At the registry: {consequence}.",
        "{rule} i {place}: {setning} Hos registeret: {folge}.",
        "{remedy}", "{tiltak}",
    ),
    "npr-verdict": (
        "information", "informational", 200,
        "Verdict at Norsk pasientregister: {verdict}{isf}.", "Utfall hos Norsk pasientregister: {utfall}{isf_nb}.",
        "", "",
    ),
    "npr-cannot-know": (
        "information", "incomplete", 200,
        "From what is here it cannot be known whether these rules are kept: {rules}.",
        "Ut fra det som er her, kan det ikke avgjøres om disse reglene er fulgt: {rules}.",
        "Send or store what belongs to it.", "Send eller lagre det som hører til.",
    ),
    "npr-not-judged": (
        "error", "not-supported", 422,
        "The rules of Norsk pasientregister say nothing of this {type}.",
        "Reglene til Norsk pasientregister sier ingenting om denne {type}.",
        "Judged are: {allowed}.", "Vurderes: {allowed}.",
    ),
    "npr-nothing-judged": (
        "error", "required", 422,
        "There is no resource in the body that the rules say anything of.",
        "Det er ingen ressurs i innholdet som reglene sier noe om.",
        "Send one of {allowed}, or a Bundle of them.", "Send en av {allowed}, eller en Bundle av dem.",
    ),
    "npr-too-many": (
        "error", "too-costly", 422,
        "There are {found} patients, and one answer is about {limit} at most.",
        "Det er {found} pasienter, og ett svar gjelder høyst {limit}.",
        "Ask of one stay, period or patient; all are judged by: fhir-facade npr check --db DB.",
        "Spør om ett opphold, én periode eller én pasient; alle vurderes med: fhir-facade npr check --db DB.",
    ),
}  # fmt: skip
