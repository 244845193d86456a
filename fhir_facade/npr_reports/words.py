"""The words of the reports, in both languages."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "verdict": "verdict", "records": "records", "findings": "findings", "unknown": "cannot be known",
        "line": "at line", "fields": "fields", "remedy": "remedy", "isf": "not eligible for ISF", "sector": "by sector",
        "unit": "by unit", "more": "more faults", "left": "more are left out here",
    },
    "nb": {
        "verdict": "utfall", "records": "poster", "findings": "funn", "unknown": "kan ikke avgjøres",
        "line": "på linje", "fields": "felt", "remedy": "tiltak", "isf": "ikke ISF-berettiget",
        "sector": "etter sektor", "unit": "etter enhet", "more": "feil til", "left": "til er utelatt her",
    },
}  # fmt: skip

PAGE: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Data quality by the rules of Norsk pasientregister",
        "judged": "Judged on {today}. Nothing on this page is fetched, and nothing names a patient.",
        "errors": "Errors", "faults": "Not readable", "records": "Records", "kind": "Record", "findings": "Findings",
        "over_time": "Findings over time", "by_rule": "Findings by rule", "by_unit": "Findings by unit",
        "by_both": "Findings by rule and unit", "month": "Month", "year": "Year", "rule": "Rule", "unit": "Unit",
        "severity": "Severity", "count": "Count", "sentence": "Rule in words", "time": "Over time",
        "undated": "{count} findings have no date and are in no column.",
        "units": "A unit or date of “?” is not told.",
        "codes": "Codes that are unknown or not mapped", "field": "Field", "list": "List in Volven", "code": "Code",
        "why": "Why", "not_in_list": "Not in its list on the day", "not_mapped": "Not mapped by {map}",
        "midnight": "Times at midnight", "of": "Of", "share": "Share",
        "midnight_why": "A time of 00:00 is most often one that nobody registered.",
        "missing": "Mandatory fields without a value", "by": "Asked by", "record_file": "Record file",
        "frist": "Distance to the time limit (frist)", "days": "Days left", "days_left": "Days left of the time limit",
        "started": "Care began or the wait ended", "waiting": "Waits still",
        "frist_why": "Negative: the time limit was over.",
        "unknown": "Rules that cannot be known", "unknown_why": "What they need is not told by what was judged.",
        "list_of": "Findings one by one", "line": "Line", "key": "Record key", "remedy": "Remedy",
        "consequence": "The registry", "reader": "What the reader could not take", "place": "Place",
        "left": "{count} more are left out here.", "beyond": "{count} more are counted, and not told apart.",
        "none": "None.", "table": "The numbers", "verdict": "Verdict", "error": "Error", "warning": "Warning",
        "information": "Information", "isf": "Not eligible for ISF",
    },
    "nb": {
        "title": "Datakvalitet etter reglene til Norsk pasientregister",
        "judged": "Bedømt {today}. Siden henter ingenting, og ingen pasient er navngitt.",
        "errors": "Feil", "faults": "Ikke lesbart", "records": "Poster", "kind": "Post", "findings": "Funn",
        "over_time": "Funn over tid", "by_rule": "Funn etter regel", "by_unit": "Funn etter enhet",
        "by_both": "Funn etter regel og enhet", "month": "Måned", "year": "År", "rule": "Regel", "unit": "Enhet",
        "severity": "Alvor", "count": "Antall", "sentence": "Regelen i ord", "time": "Over tid",
        "undated": "{count} funn har ingen dato og står ikke i noen søyle.",
        "units": "En enhet eller dato «?» er ikke oppgitt.",
        "codes": "Koder som er ukjente eller ikke mappet", "field": "Felt", "list": "Kodeverk i Volven", "code": "Kode",
        "why": "Hvorfor", "not_in_list": "Ikke i kodeverket den dagen", "not_mapped": "Ikke mappet av {map}",
        "midnight": "Tidspunkter ved midnatt", "of": "Av", "share": "Andel",
        "midnight_why": "Klokken 00:00 er som oftest et tidspunkt som ingen registrerte.",
        "missing": "Obligatoriske felt uten verdi", "by": "Krevd av", "record_file": "Postbeskrivelsen",
        "frist": "Avstand til frist", "days": "Dager igjen", "days_left": "Dager igjen til frist",
        "started": "Helsehjelpen begynte eller ventetiden sluttet", "waiting": "Venter ennå",
        "frist_why": "Negativt: fristen var ute.",
        "unknown": "Regler som ikke kan avgjøres", "unknown_why": "Det de trenger, er ikke med i det som er bedømt.",
        "list_of": "Funnene ett for ett", "line": "Linje", "key": "Postens nøkkel", "remedy": "Tiltak",
        "consequence": "Registeret", "reader": "Det leseren ikke kunne ta imot", "place": "Sted",
        "left": "{count} til er utelatt her.", "beyond": "{count} til er talt, men ikke skilt fra hverandre.",
        "none": "Ingen.", "table": "Tallene", "verdict": "Utfall", "error": "Feil", "warning": "Advarsel",
        "information": "Opplysning", "isf": "Ikke ISF-berettiget",
    },
}  # fmt: skip
"""The words of the page; braces are filled in."""
