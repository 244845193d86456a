"""Changes to what is stored, as FHIR tells them: create, update, patch and delete, each in one transaction."""
