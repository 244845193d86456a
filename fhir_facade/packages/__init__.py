"""StructureDefinitions from outside R4: FHIR packages, and our own profiles."""
