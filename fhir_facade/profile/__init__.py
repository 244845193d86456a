"""What FHIR demands of a resource: profiles compiled to validators, FHIRPath, slices, messages."""
