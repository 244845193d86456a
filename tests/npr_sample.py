"""One small NPR-melding with synthetic people, to be bent by tests."""

from __future__ import annotations

import io
from pathlib import Path

from fhir_facade.contracts import Record
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.store.batches import Batch
from fhir_facade.store.npr_read import read_message
from fhir_facade.store.npr_table import load_table

MAPPINGS = Path(__file__).parents[1] / "mappings"
KINDS = load_kinds(MAPPINGS / "records")
TABLE = load_table(MAPPINGS / "npr-melding.yaml", KINDS)

ORD = """<?xml version="1.0" encoding="UTF-8"?>
<Melding xmlns="http://www.npr.no/xmlstds/53_1_3_ord" versjon="53.1.3" meldingstype="B"
 fraDatoPeriode="2025-01-01" uttakDato="2025-09-01" leverandor="Blåbær AS" navnEPJ="EPJ" versjonEPJ="1"
 versjonUt="1" lopenr="1" tilDatoPeriode="2025-08-31">
 <Kontaktperson kontPerson="Kari Nordmann" meldEpost1="kari@eksempel.no" typeKontaktperson="1"/>
 <Institusjon institusjonID="777777777">
  <Enhet enhetID="U1" orgNr="777777777"/>
  <Enhet enhetID="U2" offAvdKode="1010"/>
  <Objektholder pasientNr="P1">
   <Pasient pasientNr="P1" kjonn="2" fodselsar="1985"/>
   <Henvisningsperiode henvisningsperiodeID="H1" henvisningsperiodeGUID="guid-h1">
    <Henvisning henvID="V1" mottaksDato="2025-01-02" frittBehandlingsvalg="2" komNrHjem="0301">
     <Henvisningstilstand><Tilstand tilstNr="1">
      <Kode kodeNr="1" Kodeverk="D" kodeVersjon="2025" kodeVerdi="E119"/></Tilstand></Henvisningstilstand>
     <RefEnhet enhetID="U1" typeEnhet="1"/>
    </Henvisning>
   </Henvisningsperiode>
   <Episode episodeID="E1" episodeGUID="guid-e1" henvisningsperiodeID="H1" serieID="S1"
     innDatoTid="2025-02-03T10:00:00" debitor="1" komNrHjem="0301" innmateHast="4" omsorgsniva="3">
    <Kontakt kontaktType="1" stedAktivitet="1"><Helseperson polUtforende="1"/>
     <Takst takstnummer="3a" antall="2"/></Kontakt>
    <RefEnhet enhetID="U1" typeEnhet="1"/>
    <RefEnhet enhetID="U2" typeEnhet="7"/>
    <Tilstand tilstNr="1">
     <Kode kodeNr="1" Kodeverk="D" kodeVersjon="2025" kodeVerdi="E119"/>
    </Tilstand>
    <Tjeneste startDatoTid="2025-02-03T10:00:00" tjenesteenhetID="U2">
     <Tiltak typeTiltak="1">
      <Prosedyre prosNr="1"><Kode kodeNr="1" Kodeverk="N" kodeVersjon="2025" kodeVerdi="ABC10"/></Prosedyre>
     </Tiltak>
    </Tjeneste>
   </Episode>
   <Episode episodeID="E2" henvisningsperiodeID="H1" serieID="S1"
     innDatoTid="2025-03-03T10:00:00.5+01:00" debitor="1" komNrHjem="0301" innmateHast="4" omsorgsniva="1">
    <AvdOpp permisjonsdogn="2"><PostOpp tjenesteenhetID="U2" innDatoTid="2025-03-03T10:00:00"/></AvdOpp>
   </Episode>
  </Objektholder>
  <Objektholder pasientNr="P2">
   <Pasient pasientNr="P2" kjonn="1" fodselsar="1990"/>
  </Objektholder>
 </Institusjon>
</Melding>
"""

IDE = """<?xml version="1.0" encoding="UTF-8"?>
<Melding xmlns="http://www.npr.no/xmlstds/53_1_3_ide" versjon="53.1.3" meldingstype="B"
 fraDatoPeriode="2025-01-01" uttakDato="2025-09-01" leverandor="Blåbær AS" navnEPJ="EPJ" versjonEPJ="1"
 versjonUt="1" lopenr="1" tilDatoPeriode="2025-08-31">
 <Kontaktperson kontPerson="Kari Nordmann" meldEpost1="kari@eksempel.no" typeKontaktperson="1"/>
 <Institusjon institusjonID="777777777">
  <PasientIdent pid="P1" fid="15838512086" typeID="1"/>
  <PasientIdent pid="P2" fid="010190" typeID="9"/>
 </Institusjon>
</Melding>
"""


def read(text: str | bytes) -> Batch:
    """All batches of a message as one."""
    whole = Batch()
    data = text.encode() if isinstance(text, str) else text
    for batch in read_message(io.BytesIO(data), TABLE, KINDS):
        whole.records += batch.records
        whole.issues += batch.issues
        whole.deletes += batch.deletes
        whole.read += batch.read
        whole.refused += batch.refused
    return whole


def told(batch: Batch) -> list[tuple[str, str]]:
    """What was reported: code and place."""
    return [(issue.code, issue.at) for issue in batch.issues]


def names(batch: Batch) -> list[str]:
    """Every record read: kind and key."""
    return [f"{one.kind.name} {one.key}" for one in batch.records]


def one(batch: Batch, kind: str, key: str) -> Record:
    """The record of a kind with a key."""
    return next(read.record for read in batch.records if read.kind.name == kind and read.key == key)


def without(text: str, part: str, instead: str = "") -> str:
    """The message with one part replaced; the part must be there."""
    assert part in text, part
    return text.replace(part, instead, 1)


def at(text: str, part: str) -> str:
    """The place of a part: the line where its tag begins."""
    tag = text.rindex("<", 0, text.index(part) + 1)
    return f"line {text[:tag].count(chr(10)) + 1}"
