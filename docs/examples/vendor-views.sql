-- The site's own views: our names of tables and fields over the tables of vendor-tables.sql. A field without a column
-- is left out. Each kind has its version and the instant of its last change; the items of a list have the key of
-- their record in columns that begin with parent_.
CREATE SCHEMA epj;
CREATE VIEW epj.pasient AS
SELECT p.org AS institusjon_id, p.pat_no AS pasient_nr, p.guid AS pasient_guid, p.sex_code AS kjonn,
  p.birth_year AS fodselsar, p.national_id AS fid, p.id_kind AS type_id, p.born AS fodselsdato, p.dead AS dodsdato,
  n.family AS etternavn, n.given AS fornavn, n.middle AS mellomnavn, n.phone AS telefon,
  p.row_version AS rad_versjon, p.modified AS sist_endret
FROM vendor.patients p LEFT JOIN vendor.patient_names n ON n.org = p.org AND n.pat_no = p.pat_no;

CREATE VIEW epj.pasient__adresser AS
SELECT org AS parent_institusjon_id, pat_no AS parent_pasient_nr, seq AS nr, purpose AS bruk, street AS linje,
  zip AS postnr, city AS poststed, municipality AS kom_nr
FROM vendor.addresses;

CREATE VIEW epj.opphold AS
SELECT org AS institusjon_id, pat_no AS pasient_nr, visit_no AS episode_id, period_no AS henvisningsperiode_id,
  arrived AS inn_dato_tid, departed AS ut_dato_tid, payer AS debitor, care_level AS omsorgsniva,
  part_of_stay AS oppholdsdel, row_version AS rad_versjon, modified AS sist_endret
FROM vendor.visits;

CREATE VIEW epj.tilstand AS
SELECT org AS institusjon_id, pat_no AS pasient_nr, visit_no AS episode_id, seq AS tilst_nr, axis AS akse,
  part AS kode_nr, code_list AS kodeverk, list_version AS kode_versjon, code AS kode_verdi,
  row_version AS rad_versjon, modified AS sist_endret
FROM vendor.diagnoses;
