"""What can go wrong with indicators: Measure and $evaluate-measure."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "measure-unknown": (
        "error", "not-found", 404,
        "There is no Measure '{name}' here.", "Det finnes ingen Measure '{name}' her.",
        "Name it by its id or canonical: {allowed}{nearest}.", "Oppgi id eller canonical: {allowed}{likest}.",
    ),
    "measure-is-draft": (
        "error", "not-supported", 422,
        "The indicator {name} is off: its rule text is not known, or this server has switched it off.",
        "Indikatoren {name} er av: regelteksten er ikke kjent, eller denne tjeneren har slått den av.",
        "Read what is open in Measure.guidance; `switch` in a file of your own turns it on.",
        "Les hva som er uavklart i Measure.guidance; `switch` i en egen fil slår den på.",
    ),
    "measure-without-criteria": (
        "error", "not-supported", 422,
        "The indicator {name} is documented only: nothing in the records tells of it.",
        "Indikatoren {name} er bare dokumentert: ingenting i journalpostene forteller om den.",
        "Choose another: {allowed}.", "Velg en annen: {allowed}.",
    ),
    "measure-too-costly": (
        "error", "too-costly", 422,
        "There are more than {limit} patients, too many to be counted for one answer.",
        "Det er flere enn {limit} pasienter, for mange til å telles for ett svar.",
        "Name a subject, or count with: fhir-facade indicators.",
        "Oppgi subject, eller tell med: fhir-facade indicators.",
    ),
    "indicators-faulty": (
        "error", "not-supported", 422,
        "The indicators cannot be used with the record kinds of this server: {place}.",
        "Indikatorene kan ikke brukes med postene på denne tjeneren: {place}.",
        "Correct the row, or count other records.", "Rett raden, eller tell andre poster.",
    ),
}  # fmt: skip
