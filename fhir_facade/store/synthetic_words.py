"""Names, places, texts and codes of synthetic Norway; each code stands in its national list."""

from __future__ import annotations

from typing import NamedTuple

WOMEN = (
    "Ingrid", "Solveig", "Astrid", "Ragnhild", "Sunniva", "Marit", "Liv", "Åse", "Turid", "Eline", "Hedda",
    "Maja",
    "Selma", "Thea", "Vilde", "Guro", "Ronja", "Tuva", "Amina", "Elle", "Zofia", "Ánne", "Berit", "Kari",
)  # fmt: skip
MEN = (
    "Olav", "Håkon", "Sverre", "Torstein", "Eirik", "Leif", "Bjørn", "Odd", "Arne", "Jonas", "Emil", "Magnus",
    "Sondre", "Even", "Trygve", "Aslak", "Mikkel", "Omar", "Piotr", "Nils", "Øyvind", "Tarjei", "Sigurd",
    "Per",
)  # fmt: skip
FAMILIES = (
    "Granbekk", "Solvik", "Fjellstrøm", "Lyngåsen", "Bjørkhaug", "Havnes", "Skogvoll", "Myrdalen", "Steinsøy",
    "Ospelund", "Tindeland", "Bergrønning", "Vassenden", "Furumo", "Elvestad", "Nordhei", "Sandøy",
    "Kvernbakk",
    "Rognli", "Sletteberg", "Tjernvoll", "Ulvåsen", "Vardehaug", "Ytrebø", "Åkerblom", "Østlien", "Høgset",
    "Isdalen", "Løvmark", "Gáppe", "Ravnås", "Sørvåg",
)  # fmt: skip
MIDDLES = ("Lind", "Moe", "Berg", "Haug", "Dahl", "Vik", "Rud", "Nes")
STREETS = (
    "Eksempelveien",
    "Prøvegata",
    "Testbakken",
    "Granstien",
    "Fyrlykta",
    "Dalsvingen",
    "Ospealléen",
    "Storgata",
)
TONGUES = ("nb", "nb", "nb", "nb", "nb", "nb", "nn", "nn", "se", "en", "pl", "ar", "so")


class Town(NamedTuple):
    """A municipality whose number did not change in the window, with its districts where NPR wants one."""

    number: str
    name: str
    post: str
    districts: tuple[str, ...] = ()


OSLO = ("030101", "030102", "030103", "030105", "030109", "030111", "030112", "030113", "030114", "030199")
# list 3403 still numbers Bergen as 1201
BERGEN = ("120101", "120102", "120103", "120105", "120107", "120108")
TRONDHEIM = ("500101", "500102", "500103", "500104")
STAVANGER = ("110301", "110302", "110303", "110305", "110306", "110307")
TOWNS = (
    Town("0301", "Oslo", "0550", OSLO), Town("0301", "Oslo", "1150", OSLO), Town("4601", "Bergen", "5003",
    BERGEN),
    Town("4601", "Bergen", "5130", BERGEN), Town("5001", "Trondheim", "7011", TRONDHEIM),
    Town("1103", "Stavanger", "4006", STAVANGER), Town("1108", "Sandnes", "4306"), Town("1106",
    "Haugesund", "5501"),
    Town("4204", "Kristiansand", "4610"), Town("4203", "Arendal", "4836"), Town("1804", "Bodø", "8006"),
    Town("3403", "Hamar", "2315"), Town("3405", "Lillehammer", "2609"), Town("3407", "Gjøvik", "2815"),
    Town("1833", "Mo i Rana", "8622"), Town("5037", "Levanger", "7600"), Town("5006", "Steinkjer", "7713"),
    Town("1505", "Kristiansund", "6507"), Town("1506", "Molde", "6413"), Town("4640", "Sogndal", "6856"),
)  # fmt: skip

FOREIGN = (  # municipality, debitor, country of social security, town
    ("9900", "11", "SE", "Göteborg"), ("9900", "11", "DK", "Aalborg"), ("9900", "11", "DE", "Kiel"),
    ("9900", "11", "PL", "Gdańsk"), ("9900", "11", "GB", "Aberdeen"), ("9000", "12", "US", "Duluth"),
    ("9000", "12", "IN", "Pune"),
)  # fmt: skip


class Condition(NamedTuple):
    """An ICD-10 code without its period, the clinical field, an ICPC-2 code for the referral,
    and procedures."""

    icd: str
    field: str
    icpc: str
    procedures: tuple[tuple[str, str], ...] = ()


class Department(NamedTuple):
    """A department that every synthetic institution has: its units are A, F, P and K with its number."""

    number: str
    sector: str
    name: str
    site: str
    official: str
    account: str
    team: tuple[tuple[str, str | None, str], ...]
    conditions: tuple[Condition, ...]


SITES = (("S1", "sykehus", "01", "620"), ("S2", "DPS", "31", "642"), ("S3", "barne- og ungdomspsykiatri",
"11", "651"),
         ("S4", "rusbehandling", "12", "681"))  # fmt: skip

DOCTOR, NURSE, PSYCHOLOGIST = ("LE", None, "1"), ("SP", None, "2"), ("PS", None, "4")
BIRTH = Condition("Z380", "220", "A97")
CHEMOTHERAPY = Condition("C509", "853", "A29")
PREGNANCY = Condition("N390", "200", "A29")

DEPARTMENTS = (
    Department("10", "SOM", "Kirurgisk", "S1", "010", "620",
        (("LE", "82", "1"), ("LE", "152", "1"), NURSE, ("FT", None, "14"), ("RA", None, "16")),
        (Condition("K358", "030", "D01", (("K", "JEA01"),)), Condition("K358", "010", "D01", (("K",
        "JEA00"),)),
         Condition("R104", "030", "D01", (("K", "JKA21"),)), Condition("S720", "050", "L03"), CHEMOTHERAPY)),
    Department("11", "SOM", "Medisinsk", "S1", "110", "620",
        (("LE", "190", "1"), ("LE", "195", "1"), NURSE, ("KE", None, "15"), ("BI", None, "12")),
        (Condition("I10", "150", "K86"), Condition("E119", "130", "T90", (("M", "WPCK00"),)),
         Condition("E109", "130", "T90"), Condition("J449", "170", "R05"), Condition("G473", "170", "A04"),
         Condition("N390", "110", "A29", (("S", "B0044"),)))),
    Department("12", "SOM", "Nevrologisk", "S1", "250", "620",
        (("LE", "37", "1"), NURSE, ("ET", None, "13")),
        (Condition("I639", "250", "N01", (("R", "SAA0AD"),)),
         Condition("I639", "250", "N01", (("R", "SAA0AG"), ("R", "SAA0AE"))))),
    Department("13", "SOM", "Kvinne- og barne", "S1", "200", "620",
        (("LE", "7", "1"), ("LE", "3", "1"), ("JO", None, "8"), NURSE),
        (Condition("R104", "220", "D01", (("R", "SAA0AK"),)), Condition("N390", "220", "A29"))),
    Department("14", "SOM", "Rehabiliterings", "S1", "230", "630",
        (("LE", "6", "1"), ("FT", None, "14"), ("ET", None, "13"), NURSE),
        (Condition("I639", "230", "N01", (("M", "WPBD00"),)), Condition("S720", "230", "L03", (("M",
        "WPCK00"),)))),
    Department("20", "PHV", "Voksenpsykiatrisk", "S2", "320", "642",
        (("LE", "40", "1"), PSYCHOLOGIST, ("VP", None, "7"), NURSE, ("XX", None, "5")),
        (Condition("F200", "320", "P72", (("M", "IBCB00"), ("M", "IBCD00"))), Condition("F259", "320", "P98"),
         Condition("F312", "320", "P73", (("M", "IBCA00"),)), Condition("F321", "320", "P76", (("M",
         "IBBB00"),)),
         Condition("F331", "320", "P76", (("M", "IBBC00"),)), Condition("F332", "320", "P76", (("M",
         "IBEB00"),)),
         Condition("F410", "320", "P74", (("M", "IBBB00"),)), Condition("F431", "320", "P82", (("M",
         "IAAI00"),)),
         Condition("F6031", "320", "P80", (("M", "IAAA00"),)))),
    Department("30", "BUP", "Barne- og ungdomspsykiatrisk", "S3", "310", "651",
        (("LE", "4", "1"), PSYCHOLOGIST, ("XX", None, "3"), ("XX", None, "6")),
        (Condition("F900", "310", "P81", (("M", "IAAB00"),)), Condition("F930", "310", "P22"),
         Condition("F320", "310", "P76", (("M", "IBBF00"),)), Condition("F411", "310", "P74", (("M",
         "IBBB00"),)),
         Condition("F845", "310", "P24", (("M", "IAAK00"),)), Condition("F952", "310", "P10"),
         Condition("F500", "310", "P86", (("M", "IBBF00"),)))),
    Department("40", "TSB", "Rus- og avhengighets", "S4", "360", "681",
        (("LE", "199", "1"), PSYCHOLOGIST, ("XX", None, "5"), NURSE),
        (Condition("F102", "360", "P15", (("N", "5"), ("A", "10"))), Condition("F103", "360", "P15", (("M",
        "IBEC00"),)),
         Condition("F112", "365", "P19", (("N", "1"), ("M", "IBCE00"))), Condition("F122", "360", "P19",
         (("N", "4"),)),
         Condition("F152", "360", "P19", (("M", "IBDA00"),)), Condition("F192", "360", "P19", (("A",
         "2"),)))),
)  # fmt: skip

AXES = (  # BUP: axis number, code letter, codes; axis I comes from the department's conditions
    (2, ("F800", "F810", "F82", "F83")),
    (3, ("F700",)),
    (4, ("G473", "E109", "R104")),
)
ASIDE = {
    "SOM": ("I10", "E119", "J449"),
    "PHV": ("F101", "F419", "I10"),
    "BUP": ("F980",),
    "TSB": ("F329", "F419", "F609"),
}
STARTS_PATHWAY = {"PHV": "D11A", "TSB": "D01A"}

REFERRALS = {
    "SOM": (
        "Plager gjennom flere uker. Ber om vurdering.",
        "Funn ved undersøkelse hos fastlege. Ønsker utredning.",
    ),
    "PHV": (
        "Nedstemt, søvnvansker og redusert funksjon. Ber om behandling.",
        "Endret atferd siste tid. Ber om vurdering.",
    ),
    "BUP": (
        "Uro og konsentrasjonsvansker på skole og hjemme.",
        "Skolefravær og engstelse. Foreldre ønsker hjelp.",
    ),
    "TSB": (
        "Økende forbruk, ønsker hjelp til å slutte.",
        "Tilbakefall etter tidligere behandling. Ber om inntak.",
    ),
}
