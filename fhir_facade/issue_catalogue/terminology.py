"""What can be said of codes, code systems, value sets and concept maps, and of what is asked about them."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    # ---- judgements: they go with an answer of 200
    "code-unknown": (
        "error", "code-invalid", 200,
        "The code '{code}' is not in {system}.", "Koden '{code}' finnes ikke i {system}.",
        "Search for it by text with ValueSet/$expand and filter.",
        "Søk etter den med tekst ved ValueSet/$expand og filter.",
    ),
    "code-not-yet-valid": (
        "error", "code-invalid", 200,
        "The code '{code}' of {system} is valid from {from}, which is after {date}.",
        "Koden '{code}' i {system} gjelder fra {from}, som er etter {date}.",
        "Use a code that is valid on the date.", "Bruk en kode som gjelder på datoen.",
    ),
    "code-no-longer-valid": (
        "error", "code-invalid", 200,
        "The code '{code}' of {system} was valid until {to}, which is before {date}.",
        "Koden '{code}' i {system} gjaldt til {to}, som er før {date}.",
        "Use a code that is valid on the date.", "Bruk en kode som gjelder på datoen.",
    ),
    "code-retired": (
        "error", "code-invalid", 200,
        "The code '{code}' of {system} is out of use.", "Koden '{code}' i {system} er ute av bruk.",
        "Use a code that is in use.", "Bruk en kode som er i bruk.",
    ),
    "display-mismatch": (
        "warning", "invalid", 200,
        "The display does not belong to the code '{code}' of {system}: that is '{display}'.",
        "Teksten hører ikke til koden '{code}' i {system}: den er '{display}'.",
        "Send the display of the code, or none.", "Send kodens tekst, eller ingen.",
    ),
    "code-not-in-value-set": (
        "error", "code-invalid", 200,
        "The code '{code}' of {system} is not in the value set {value_set}.",
        "Koden '{code}' i {system} er ikke i verdisettet {value_set}.",
        "Expand the value set to see its codes.", "Ekspander verdisettet for å se kodene.",
    ),
    "cannot-be-known": (
        "warning", "incomplete", 200,
        "Whether the code '{code}' of {system} is right cannot be known here: {reason}.",
        "Om koden '{code}' i {system} er riktig, kan ikke avgjøres her: {grunn}.",
        "Import the code system, or the edition of the date, with fhir-facade terminology import.",
        "Importer kodeverket, eller utgaven for datoen, med fhir-facade terminology import.",
    ),
    # ---- what is not there
    "code-system-unknown": (
        "error", "not-found", 404,
        "The code system '{system}' is not served here.", "Kodeverket '{system}' finnes ikke her.",
        "Search CodeSystem for those that are{nearest}.", "Søk i CodeSystem etter dem som finnes{likest}.",
    ),
    "code-system-version-unknown": (
        "error", "not-found", 404,
        "The code system '{system}' has no edition '{version}' here.",
        "Kodeverket '{system}' har ingen utgave '{version}' her.",
        "Editions here: {allowed}.", "Utgaver her: {allowed}.",
    ),
    "value-set-unknown": (
        "error", "not-found", 404,
        "The value set '{url}' is not served here.", "Verdisettet '{url}' finnes ikke her.",
        "Search ValueSet for those that are{nearest}.", "Søk i ValueSet etter dem som finnes{likest}.",
    ),
    "concept-map-unknown": (
        "error", "not-found", 404,
        "The concept map '{url}' is not served here.", "Oversettelsen '{url}' finnes ikke her.",
        "Concept maps served: {allowed}{nearest}.", "Oversettelser som finnes: {allowed}{likest}.",
    ),
    "code-not-found": (
        "error", "not-found", 404,
        "The code '{code}' is not in {system} as it is loaded here{incomplete}.",
        "Koden '{code}' finnes ikke i {system} slik det er lastet her{ufullstendig}.",
        "Search for it by text with ValueSet/$expand and filter.",
        "Søk etter den med tekst ved ValueSet/$expand og filter.",
    ),
    "code-not-translated": (
        "information", "not-found", 200,
        "No concept map here leads from '{code}' of {system} to what is asked for.",
        "Ingen oversettelse her fører fra '{code}' i {system} til det som det spørres etter.",
        "Concept maps served: {allowed}.", "Oversettelser som finnes: {allowed}.",
    ),
    # ---- how it is asked
    "operation-unknown": (
        "error", "not-supported", 404,
        "{type} has no operation '{name}' here.", "{type} har ingen operasjon '{name}' her.",
        "Operations served: {allowed}{nearest}.", "Operasjoner som tilbys: {allowed}{nearest}.",
    ),
    "input-unknown": (
        "error", "not-supported", 400,
        "{operation} takes no input '{name}' here.", "{operation} tar ikke '{name}' her.",
        "Inputs taken: {allowed}{nearest}.", "Det som tas imot: {allowed}{likest}.",
    ),
    "input-not-served": (
        "error", "not-supported", 400,
        "R4 gives {operation} the input '{name}', and this server does not take it.",
        "R4 gir {operation} parameteren '{name}', og denne tjeneren tar den ikke.",
        "Inputs taken: {allowed}.", "Det som tas imot: {allowed}.",
    ),
    "input-invalid": (
        "error", "value", 400,
        "The input '{name}' is not a valid {type}: {reason}.",
        "Parameteren '{name}' er ikke en gyldig {type}: {grunn}.",
        "Example: {example}.", "Eksempel: {example}.",
    ),
    "property-unknown": (
        "error", "not-supported", 400,
        "No code of this code system has the property '{name}'.",
        "Ingen kode i dette kodeverket har egenskapen '{name}'.",
        "Properties: {allowed}{nearest}.", "Egenskaper: {allowed}{likest}.",
    ),
    "input-missing": (
        "error", "required", 400,
        "{operation} needs {needed}.", "{operation} trenger {needed}.",
        "Inputs taken: {allowed}.", "Det som tas imot: {allowed}.",
    ),
    "inputs-disagree": (
        "error", "invalid", 400,
        "The inputs {names} cannot stand together in {operation}: {reason}.",
        "Parameterne {names} kan ikke stå sammen i {operation}: {grunn}.",
        "Send one of them.", "Send én av dem.",
    ),
    "body-not-parameters": (
        "error", "structure", 400,
        "The body is no Parameters resource: {reason}.", "Innholdet er ingen Parameters-ressurs: {grunn}.",
        "Send a Parameters resource, or a form.", "Send en Parameters-ressurs, eller et skjema.",
    ),
    "expansion-too-costly": (
        "error", "too-costly", 422,
        "The value set has more than {limit} codes, too many to give in one answer.",
        "Verdisettet har flere enn {limit} koder, for mange til å gis i ett svar.",
        "Ask with count and offset, or with filter.", "Spør med count og offset, eller med filter.",
    ),
}  # fmt: skip
