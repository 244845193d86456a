-- A made-up schema of another system: other names, real days and clocks, and a patient split over two tables.
CREATE SCHEMA vendor;
CREATE TABLE vendor.patients (
  org text, pat_no text, guid text, sex_code text, born date, dead date, national_id text, id_kind text,
  birth_year int, row_version bigint NOT NULL, modified timestamptz NOT NULL, PRIMARY KEY (org, pat_no)
);
CREATE TABLE vendor.patient_names (
  org text, pat_no text, family text, given text, middle text, phone text, PRIMARY KEY (org, pat_no)
);
CREATE TABLE vendor.addresses (
  org text, pat_no text, seq int, purpose text, street text, zip text, city text, municipality text,
  PRIMARY KEY (org, pat_no, seq)
);
CREATE TABLE vendor.visits (
  org text, pat_no text, visit_no text, period_no text, arrived timestamp, departed timestamp, payer text,
  care_level text, part_of_stay text, row_version bigint NOT NULL, modified timestamptz NOT NULL,
  PRIMARY KEY (org, pat_no, visit_no)
);
CREATE TABLE vendor.diagnoses (
  org text, pat_no text, visit_no text, seq int, axis text, part int, code_list text, list_version text, code text,
  row_version bigint NOT NULL, modified timestamptz NOT NULL
);
