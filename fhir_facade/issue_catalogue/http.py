"""What can go wrong with a request: reading, searching, and HTTP itself."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "not-found": (
        "error", "not-found", 404,
        "There is no {type} with this id.", "Det finnes ingen {type} med denne id-en.",
        "Search for the resource to learn its id.", "Søk etter ressursen for å finne id-en.",
    ),
    "type-unknown": (
        "error", "not-supported", 404,
        "'{type}' is no resource type of this server.", "'{type}' er ingen ressurstype på denne tjeneren.",
        "Types served: {allowed}{nearest}.", "Typer som tilbys: {allowed}{nearest}.",
    ),
    "path-unknown": (
        "error", "not-found", 404,
        "Nothing is served at this path.", "Ingenting ligger på denne stien.",
        "See [base]/metadata for what is served.", "Se [base]/metadata for hva som tilbys.",
    ),
    "method-not-allowed": (
        "error", "not-supported", 405,
        "{method} cannot be used here.", "{method} kan ikke brukes her.",
        "Allowed: {allowed}.", "Tillatt: {allowed}.",
    ),
    "format-not-acceptable": (
        "error", "not-supported", 406,
        "The format '{format}' cannot be given.", "Formatet '{format}' kan ikke gis.",
        "Ask for one of: {allowed}.", "Be om en av: {allowed}.",
    ),
    "elements-unknown": (
        "error", "value", 400,
        "{type} has no element '{name}'.", "{type} har ikke noe element '{name}'.",
        "Elements: {allowed}{nearest}.", "Elementer: {allowed}{nearest}.",
    ),
    "parameters-together": (
        "error", "not-supported", 400,
        "These cannot be given together: {names}.", "Disse kan ikke gis sammen: {names}.",
        "Give one of them.", "Gi én av dem.",
    ),
    "contained-not-searched": (
        "error", "not-supported", 400,
        "Contained resources are not searched here, so '{name}' cannot be given.",
        "Det søkes ikke i inneholdte ressurser her, så '{name}' kan ikke gis.",
        "Leave it out: every resource here is found by itself.", "Utelat den: hver ressurs her finnes for seg.",
    ),
    "coding-not-acceptable": (
        "error", "not-supported", 406,
        "The answer cannot be given in a content coding that Accept-Encoding takes.",
        "Svaret kan ikke gis i en innholdskoding som Accept-Encoding tar.",
        "Take one of: {allowed}.", "Ta en av: {allowed}.",
    ),
    "forwarded-invalid": (
        "error", "value", 400,
        "The proxy forwards a {part} that cannot stand in a URL.",
        "Mellomtjeneren videresender en {part} som ikke kan stå i en URL.",
        "Set Forwarded, or X-Forwarded-Proto, -Host and -Prefix, in the proxy.",
        "Sett Forwarded, eller X-Forwarded-Proto, -Host og -Prefix, i mellomtjeneren.",
    ),
    "url-too-long": (
        "error", "too-long", 414,
        "The URL is longer than {limit} bytes.", "URL-en er lengre enn {limit} byte.",
        "Send the search as POST to [base]/[type]/_search.", "Send søket som POST til [base]/[type]/_search.",
    ),
    "request-malformed": (
        "error", "structure", 400,
        "This is no HTTP request.", "Dette er ingen HTTP-forespørsel.",
        "Send HTTP/1.1.", "Send HTTP/1.1.",
    ),
    "element-not-in-xml": (
        "error", "not-supported", 406,
        "The element is none of R4, and cannot be given as XML.",
        "Elementet finnes ikke i R4 og kan ikke gis som XML.",
        "Ask for application/fhir+json.", "Be om application/fhir+json.",
    ),
    "search-parameter-unknown": (
        "error", "not-supported", 400,
        "{type} has no search parameter '{name}' here.", "{type} har ingen søkeparameter '{name}' her.",
        "Parameters served: {allowed}{nearest}.", "Parametere som tilbys: {allowed}{nearest}.",
    ),
    "search-modifier-unknown": (
        "error", "not-supported", 400,
        "The parameter '{name}' does not take the modifier ':{modifier}'.",
        "Parameteren '{name}' tar ikke modifikatoren ':{modifier}'.",
        "Modifiers it takes: {allowed}.", "Modifikatorer den tar: {allowed}.",
    ),
    "search-chain-no-reference": (
        "error", "not-supported", 400,
        "'{name}' of {type} leads to no resource here, so nothing can be asked behind it.",
        "'{name}' i {type} fører ikke til noen ressurs her, så ingenting kan spørres bak den.",
        "Parameters of {type} that can be followed: {allowed}.", "Parametere i {type} som kan følges: {allowed}.",
    ),
    "search-chain-type-unknown": (
        "error", "not-supported", 400,
        "'{name}' of {type} leads to no '{wanted}' here.", "'{name}' i {type} fører ikke til noen '{wanted}' her.",
        "Types it leads to: {allowed}{nearest}.", "Typer den fører til: {allowed}{nearest}.",
    ),
    "search-chain-ambiguous": (
        "error", "not-supported", 400,
        "'{name}' of {type} leads to more than one type; the chain must say which is meant.",
        "'{name}' i {type} fører til mer enn én type; kjeden må si hvilken som menes.",
        "Write one of: {allowed}.", "Skriv én av: {allowed}.",
    ),
    "search-chain-too-long": (
        "error", "too-costly", 400,
        "The chain follows more than {limit} references.", "Kjeden følger flere enn {limit} referanser.",
        "Ask in two searches.", "Spør i to søk.",
    ),
    "search-chain-ignored": (
        "warning", "not-supported", 200,
        "'{name}' cannot be followed here; it was ignored, as handling=lenient allows.",
        "'{name}' kan ikke følges her; den ble oversett, slik handling=lenient tillater.",
        "The next issue says why.", "Neste melding sier hvorfor.",
    ),
    "search-has-incomplete": (
        "error", "not-supported", 400,
        "'{name}' lacks a part of _has:Type:reference:parameter.",
        "'{name}' mangler en del av _has:Type:referanse:parameter.",
        "Example: {example}.", "Eksempel: {example}.",
    ),
    "search-has-type-unknown": (
        "error", "not-supported", 400,
        "No '{wanted}' here refers to a {type}.", "Ingen '{wanted}' her viser til en {type}.",
        "Types that do: {allowed}{nearest}.", "Typer som gjør det: {allowed}{nearest}.",
    ),
    "search-has-reference-unknown": (
        "error", "not-supported", 400,
        "'{name}' of {wanted} does not refer to a {type} here.",
        "'{name}' i {wanted} viser ikke til noen {type} her.",
        "References that do: {allowed}{nearest}.", "Referanser som gjør det: {allowed}{nearest}.",
    ),
    "search-reference-type": (
        "error", "value", 400,
        "The references of '{name}' are never to a resource of the type that the value names.",
        "Referansene i '{name}' går aldri til en ressurs av typen som verdien nevner.",
        "Types: {allowed}{nearest}.", "Typer: {allowed}{nearest}.",
    ),
    "search-reference-logical": (
        "error", "not-supported", 400,
        "The references of '{name}' have an identifier only, which no resource here is known by.",
        "Referansene i '{name}' har bare en identifikator, som ingen ressurs her er kjent under.",
        "Search by {name}:identifier=system|value.", "Søk med {name}:identifier=system|verdi.",
    ),
    "search-value-invalid": (
        "error", "value", 400,
        "The value of '{name}' is not a valid {type} value: {reason}.",
        "Verdien for '{name}' er ikke en gyldig {type}-verdi: {reason}.",
        "Example: {example}.", "Eksempel: {example}.",
    ),
    "person-number-in-url": (
        "error", "security", 400,
        "A national identity number may not stand in a URL.", "Et fødselsnummer skal ikke stå i en URL.",
        "Send the search as POST to [base]/{type}/_search.", "Send søket som POST til [base]/{type}/_search.",
    ),
    "page-token-invalid": (
        "error", "value", 400,
        "The page token is not one of ours, or belongs to another search.",
        "Sidenøkkelen er ikke vår, eller hører til et annet søk.",
        "Start the search again from its first page.", "Start søket på nytt fra første side.",
    ),
    "explain-off": (
        "error", "not-supported", 400,
        "This server does not explain searches.", "Denne tjeneren forklarer ikke søk.",
        "Leave _explain out; who runs the server sets FHIR_FACADE_EXPLAIN=true to allow it.",
        "Utelat _explain; den som drifter tjeneren, tillater det med FHIR_FACADE_EXPLAIN=true.",
    ),
    "explain-parameter": (
        "information", "informational", 200,
        "'{name}' ({use}) in {mapping}: rows {rows}, columns {columns}.",
        "'{name}' ({use}) i {mapping}: rader {rows}, kolonner {columns}.",
        "", "",
    ),
    "explain-statement": (
        "information", "informational", 200,
        "{mapping}: {rows} rows found in {milliseconds} ms by: {sql} -- plan: {plan}",
        "{mapping}: {rows} rader funnet på {milliseconds} ms med: {sql} -- plan: {plan}",
        "", "",
    ),
    "explain-time": (
        "information", "informational", 200,
        "{records} records were read and written as FHIR, in {milliseconds} ms from the request to here.",
        "{records} poster ble lest og skrevet som FHIR, på {milliseconds} ms fra forespørselen til hit.",
        "", "",
    ),
    "page-token-expired": (
        "error", "expired", 410,
        "The link to this page is too old: links are good for {minutes} minutes.",
        "Lenken til denne siden er for gammel: lenker gjelder i {minutes} minutter.",
        "Start the search again from its first page.", "Start søket på nytt fra første side.",
    ),
    "page-token-outdated": (
        "error", "expired", 410,
        "The link to this page was made under other mappings than those that run now.",
        "Lenken til denne siden ble laget med andre mappinger enn de som gjelder nå.",
        "Start the search again from its first page.", "Start søket på nytt fra første side.",
    ),
    "code-not-mapped": (
        "warning", "code-invalid", 200,
        "Code '{code}' of field {field} is not in the code map {map} ({at}); the original coding is kept.",
        "Koden '{code}' i feltet {field} er ikke i kodeoversettelsen {map} ({at}); original koding er beholdt.",
        "Add the code to the map.", "Legg koden til i oversettelsen.",
    ),
    "value-not-usable": (
        "warning", "value", 200,
        "The value of field {field} cannot be written as FHIR: {reason} ({at}).",
        "Verdien i feltet {field} kan ikke skrives som FHIR: {reason} ({at}).",
        "Correct the record.", "Rett posten.",
    ),
    "id-invalid": (
        "error", "value", 400,
        "This is no FHIR id.", "Dette er ingen FHIR-id.",
        "An id has 1 to 64 of the characters A-Z, a-z, 0-9, '-' and '.'.",
        "En id har 1 til 64 av tegnene A-Z, a-z, 0-9, '-' og '.'.",
    ),
    "search-parameter-ignored": (
        "warning", "not-supported", 200,
        "{type} has no search parameter '{name}' here; it was ignored, as handling=lenient allows.",
        "{type} har ingen søkeparameter '{name}' her; den ble oversett, slik handling=lenient tillater.",
        "Parameters served: {allowed}{nearest}.", "Parametere som tilbys: {allowed}{nearest}.",
    ),
    "sort-unknown": (
        "error", "not-supported", 400,
        "{type} cannot be sorted by '{name}' here.", "{type} kan ikke sorteres etter '{name}' her.",
        "Sort keys: {allowed}{nearest}.", "Sorteringsnøkler: {allowed}{nearest}.",
    ),
    "parameter-repeated": (
        "error", "value", 400,
        "'{name}' is given more than once.", "'{name}' er gitt mer enn én gang.",
        "Give it once.", "Gi den én gang.",
    ),
    "search-too-complex": (
        "error", "too-costly", 400,
        "The search has too many {what}: at most {limit} are taken.",
        "Søket har for mange {what}: høyst {limit} tas imot.",
        "Split the search.", "Del opp søket.",
    ),
    "body-too-large": (
        "error", "too-long", 413,
        "The body is larger than {limit} bytes.", "Innholdet er større enn {limit} byte.",
        "Send less.", "Send mindre.",
    ),
    "media-type-unsupported": (
        "error", "not-supported", 415,
        "A body of this media type is not read here.", "Innhold av denne medietypen leses ikke her.",
        "Send {allowed}.", "Send {allowed}.",
    ),
    "record-not-rendered": (
        "warning", "exception", 200,
        "One matching record could not be written as FHIR and is left out (reference {row}).",
        "En post som svarer til søket, kunne ikke skrives som FHIR og er utelatt (referanse {row}).",
        "Give the reference to those who run the server.", "Oppgi referansen til dem som drifter tjeneren.",
    ),
    "kind-unknown": (
        "error", "not-found", 400,
        "There is no mapping for the record kind '{kind}'{resource}.",
        "Det finnes ingen mapping for postslaget '{kind}'{resource}.",
        "Mapped: {allowed}{nearest}.", "Mappet: {allowed}{nearest}.",
    ),
    "element-unknown-here": (
        "error", "value", 400,
        "'{path}' is no element of this resource.", "'{path}' er ikke noe element i denne ressursen.",
        "Items of a list have an index: type[0].coding[0].code{nearest}.",
        "Punkter i en liste har en indeks: type[0].coding[0].code{nearest}.",
    ),
    "page-not-acceptable": (
        "error", "not-supported", 406,
        "The page cannot be given as '{format}'.", "Siden kan ikke gis som '{format}'.",
        "Ask for one of: {allowed}.", "Be om en av: {allowed}.",
    ),
    "mapping-unknown": (
        "error", "not-found", 404,
        "There is no mapping '{name}'.", "Det finnes ingen mapping '{name}'.",
        "Mappings: {allowed}{nearest}.", "Mappinger: {allowed}{nearest}.",
    ),
}  # fmt: skip
