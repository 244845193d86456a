"""What can go wrong with what goes beside matches: _include, _revinclude, compartments and $everything."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "include-unknown": (
        "error", "not-supported", 400,
        "'{name}={value}' names no reference that can be followed here.",
        "'{name}={value}' nevner ingen referanse som kan følges her.",
        "It takes: {allowed}{nearest}.", "Den tar: {allowed}{nearest}.",
    ),
    "include-out-of-reach": (
        "error", "value", 400,
        "'{name}={value}' has nothing to begin at: no {types} is on the page or included before.",
        "'{name}={value}' har ingenting å begynne på: ingen {types} er på siden eller tatt med først.",
        "Begin at one of: {allowed}; with :iterate also at what another one includes.",
        "Begynn på en av: {allowed}; med :iterate også på det som en annen tar med.",
    ),
    "includes-left-out": (
        "warning", "incomplete", 200,
        "More belongs to the matches of this page than is included: at most {limit} resources are.",
        "Mer hører til treffene på denne siden enn det som er tatt med: høyst {limit} ressurser tas med.",
        "Ask for fewer matches on a page with _count.", "Be om færre treff på en side med _count.",
    ),
    "includes-not-followed": (
        "warning", "incomplete", 200,
        "References were followed {limit} times; there are more to follow.",
        "Referanser ble fulgt {limit} ganger; det er flere å følge.",
        "Search for what is missing by its own type.", "Søk etter det som mangler, på dets egen type.",
    ),
    "type-not-searched": (
        "error", "not-supported", 400,
        "'{type}' is no resource type that can be searched here.",
        "'{type}' er ingen ressurstype som kan søkes i her.",
        "Types: {allowed}{nearest}.", "Typer: {allowed}{nearest}.",
    ),
    "compartment-unknown": (
        "error", "not-supported", 404,
        "There is no compartment of a {type} here.", "Det finnes ikke noe compartment for {type} her.",
        "Compartments: {allowed}.", "Compartment: {allowed}.",
    ),
    "compartment-type-unknown": (
        "error", "not-supported", 404,
        "The compartment of a {compartment} has no '{type}' here.",
        "Compartment for {compartment} har ingen '{type}' her.",
        "Types in it: {allowed}{nearest}.", "Typer i det: {allowed}{nearest}.",
    ),
}  # fmt: skip
