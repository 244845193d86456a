-- Indexes on the vendor's tables that reads and searches through the views use. The expressions are those of the
-- printed views, word for word; where the vendor allows none, a search reads the table through.
CREATE INDEX ON vendor.patients ((fhir_key(ARRAY[org::text, pat_no::text])::text COLLATE "C"));
CREATE INDEX ON vendor.patient_names ((fhir_folded(family::text)::text COLLATE "C"));
CREATE INDEX ON vendor.visits ((fhir_key(ARRAY[org::text, pat_no::text, visit_no::text])::text COLLATE "C"));
CREATE INDEX ON vendor.visits (
  ((CASE WHEN pat_no::text IS NOT NULL THEN fhir_key(ARRAY[org::text, pat_no::text]) END)::text COLLATE "C")
);
