"""What each terminology operation takes: name → type, example, meaning; and what R4 gives it that is not served.

https://hl7.org/fhir/R4/operationslist.html
"""

from __future__ import annotations

from fhir_facade.rest.parameters_in import Inputs

LIST = "urn:oid:2.16.578.1.12.4.1.1.8406"
VALUE_SET = "http://fhir-facade.no/fhir/ValueSet/vol-8406"
MAP = "http://fhir-facade.no/fhir/ConceptMap/omsorgsniva-actcode"

SYSTEM = ("uri", LIST, "The code system, by any of its URIs.")
CODE = ("code", "1", "The code.")
VERSION = ("string", "2024", "The edition; without it the one for the date.")
DAY = ("dateTime", "2024-06-30", "The day that it is judged on; today in Norway when left out.")
LANGUAGE = ("code", "nb", "The language of displays, where there is a choice.")
DISPLAY = ("string", "Døgnopphold", "The text that came with the code, to be compared.")
CODING = ("Coding", "", "The code with its system; in a Parameters resource only.")
CONCEPT = ("CodeableConcept", "", "Several codings, of which one is enough; in a Parameters resource only.")

LOOKUP = Inputs(
    "CodeSystem/$lookup",
    {
        "system": SYSTEM,
        "code": CODE,
        "version": VERSION,
        "coding": CODING,
        "date": DAY,
        "displayLanguage": LANGUAGE,
        "property": ("code", "status", "Only these properties; may be repeated."),
    },
    repeatable=frozenset({"property"}),
)
VALIDATE_IN_SYSTEM = Inputs(
    "CodeSystem/$validate-code",
    {
        "url": SYSTEM,
        "system": ("uri", LIST, "The same as url, as other operations call it."),
        "code": CODE,
        "version": VERSION,
        "display": DISPLAY,
        "coding": CODING,
        "codeableConcept": CONCEPT,
        "date": DAY,
        "displayLanguage": LANGUAGE,
    },
    not_served=frozenset({"codeSystem", "abstract"}),
)
SUBSUMES = Inputs(
    "CodeSystem/$subsumes",
    {
        "codeA": ("code", "A00", "The one code."),
        "codeB": ("code", "A000", "The other code."),
        "system": SYSTEM,
        "version": VERSION,
        "codingA": CODING,
        "codingB": CODING,
    },
)
EXPAND = Inputs(
    "ValueSet/$expand",
    {
        "url": ("uri", VALUE_SET, "The value set; the URI of a code system means all its codes."),
        "filter": ("string", "døgn", "Text: whole codes and displays come first, then beginnings, then words."),
        "offset": ("integer", "0", "How many codes to go past; with count."),
        "count": ("integer", "20", "Most codes of one answer."),
        "activeOnly": ("boolean", "true", "Only codes in use on the date."),
        "date": ("dateTime", "2024-06-30", "Only codes whose period of validity holds the day."),
        "displayLanguage": LANGUAGE,
        "includeDesignations": ("boolean", "true", "Other texts of the codes too."),
    },
    not_served=frozenset(
        {
            "valueSet", "valueSetVersion", "context", "contextDirection", "designation", "includeDefinition",
            "excludeNested", "excludeNotForUI", "excludePostCoordinated", "exclude-system", "system-version",
            "check-system-version", "force-system-version",
        }
    ),
)  # fmt: skip
VALIDATE_IN_VALUE_SET = Inputs(
    "ValueSet/$validate-code",
    {
        "url": ("uri", VALUE_SET, "The value set; the URI of a code system means all its codes."),
        "code": CODE,
        "system": SYSTEM,
        "systemVersion": VERSION,
        "display": DISPLAY,
        "coding": CODING,
        "codeableConcept": CONCEPT,
        "date": DAY,
        "displayLanguage": LANGUAGE,
    },
    not_served=frozenset({"valueSet", "valueSetVersion", "context", "abstract"}),
)
TRANSLATE = Inputs(
    "ConceptMap/$translate",
    {
        "url": ("uri", MAP, "The concept map; without it every map that fits."),
        "conceptMapVersion": ("string", "1.0.0", "The version of the map, which must be the one served."),
        "code": CODE,
        "system": SYSTEM,
        "coding": CODING,
        "codeableConcept": CONCEPT,
        "source": ("uri", VALUE_SET, "The value set that the code is of."),
        "target": ("uri", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", "The value set to translate to."),
        "targetsystem": ("uri", "http://terminology.hl7.org/CodeSystem/v3-ActCode", "The system to translate to."),
        "reverse": ("boolean", "true", "The other way, as an inbound resource is read."),
    },
    not_served=frozenset({"conceptMap", "version", "dependency"}),
)
