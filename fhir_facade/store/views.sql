-- A record's key: its parts joined by dots, or a digest where they do not fit an id (mapping/kinds.py, key_text).
CREATE OR REPLACE FUNCTION fhir_key(parts text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE
  joined text := array_to_string(parts, '.', '');
  whole bytea := ''::bytea;
BEGIN
  IF length(joined) BETWEEN 1 AND :key_length AND joined ~ '^[A-Za-z0-9.-]*$'
     AND length(joined) - length(replace(joined, '.', '')) = array_length(parts, 1) - 1 THEN
    RETURN joined;
  END IF;
  FOR place IN 1 .. array_length(parts, 1) LOOP
    whole := whole || CASE WHEN place > 1 THEN '\x00'::bytea ELSE ''::bytea END
      || convert_to(coalesce(parts[place], ''), 'UTF8');
  END LOOP;
  RETURN 'x' || left(encode(sha256(whole), 'hex'), 40);
END $body$;

-- Text as it is searched for: without case and accents, while æ, ø and å stay (mapping/search_values.py, folded).
CREATE OR REPLACE FUNCTION fhir_folded(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $body$
BEGIN
  RETURN coalesce((
    SELECT string_agg(
      CASE WHEN letter IN ('æ', 'ø', 'å') OR ascii(letter) < 128 THEN letter
        ELSE regexp_replace(normalize(letter, NFKD), '[\u0300-\u036f\u1dc0-\u1dff\u20d0-\u20ff]', '', 'g') END,
      '' ORDER BY place)
    FROM regexp_split_to_table(replace(lower(given), 'ß', 'ss'), '') WITH ORDINALITY AS each(letter, place)), '');
END $body$;

-- When a Norwegian clock showed this; the first time in the doubled hour of autumn, NULL in the one that spring skips.
-- Before 1970 by a list, since PostgreSQL may be built with time zones that are merged for those years.
CREATE OR REPLACE FUNCTION fhir_oslo(clock timestamp) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $body$
DECLARE
  moment timestamptz := clock AT TIME ZONE 'Europe/Oslo';
BEGIN
  IF clock < '1970-01-01' THEN
    RETURN (
      SELECT (clock - ahead) AT TIME ZONE 'UTC'
      FROM (VALUES
:oslo
      ) AS period(begins, ends, ahead)
      WHERE clock - ahead >= begins AND clock - ahead < ends
      ORDER BY ahead DESC LIMIT 1);
  END IF;
  IF moment AT TIME ZONE 'Europe/Oslo' <> clock THEN RETURN NULL; END IF;
  IF (moment - interval '1 hour') AT TIME ZONE 'Europe/Oslo' = clock THEN RETURN moment - interval '1 hour'; END IF;
  RETURN moment;
END $body$;

-- The first (side 0) or last (side 1) millisecond since 1970 UTC of a date or an instant; clocks are Norwegian.
CREATE OR REPLACE FUNCTION fhir_moment(given text, side int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $body$
DECLARE
  part text[] := regexp_match(given, '^(\d{4}(?:-\d\d(?:-\d\d)?)?)'
    '(?:T(\d\d:\d\d)(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?)?$');
  clock timestamp;
  moment timestamptz;
  size bigint;
BEGIN
  IF part IS NULL THEN RETURN NULL; END IF;
  IF part[2] IS NULL THEN
    clock := rpad(part[1], 10, '-01-01')::timestamp;
    IF side = 1 THEN
      clock := clock + CASE length(part[1]) WHEN 4 THEN interval '1 year' WHEN 7 THEN interval '1 month'
        ELSE interval '1 day' END;
    END IF;
    RETURN extract(epoch FROM fhir_oslo(clock)) * 1000;
  END IF;
  clock := (part[1] || ' ' || part[2] || coalesce(part[3], ''))::timestamp;
  IF part[5] IS NOT NULL THEN
    moment := (clock::text || CASE part[5] WHEN 'Z' THEN '+00:00' ELSE part[5] END)::timestamptz;
  ELSE
    moment := fhir_oslo(clock);
  END IF;
  size := CASE WHEN part[4] IS NOT NULL THEN 1 WHEN part[3] IS NOT NULL THEN 1000 ELSE 60000 END;
  RETURN extract(epoch FROM moment) * 1000 + round(coalesce('0' || part[4], '0')::numeric * 1000) + side * size;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN RETURN NULL;
END $body$;
