"""A message of outpatient stays that break no rule, to be bent by tests. All persons are synthetic."""

from __future__ import annotations

TODAY = "2024-06-30"
STAY = 13
"""The line of the stay."""

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<Melding xmlns="http://www.npr.no/xmlstds/53_1_3_ord" versjon="53.1.3" meldingstype="B" fraDatoPeriode="2024-01-01"
 uttakDato="2024-06-30" leverandor="L" navnEPJ="E" versjonEPJ="1" versjonUt="1" lopenr="1" tilDatoPeriode="2024-04-30">
 <Kontaktperson kontPerson="Kari" meldEpost1="k@example.org" typeKontaktperson="1"/>
 <Kontaktperson kontPerson="Ola" meldEpost1="o@example.org" typeKontaktperson="15"/>
 <Institusjon institusjonID="993467049"><Enhet enhetID="B" orgNr="974705761"/>
  <Enhet enhetID="F" offAvdKode="110" reshID="4001"/><Enhet enhetID="A" offAvdKode="110" reshID="4002"/>
"""
PATIENT = """\
  <Objektholder pasientNr="{nr}"><Pasient pasientNr="{nr}" kjonn="2" fodselsar="1985"/>
   <Henvisningsperiode henvisningsperiodeID="P1" ansienDato="2024-01-10" henvFraTjeneste="2"><Henvisning henvID="{nr}"
     mottaksDato="2024-01-10" frittBehandlingsvalg="2" komNrHjem="0301" ventetidSluttDato="2024-02-20" vurdDato="2024-01-15"
     ventetidSluttKode="1" henvVurd="2" rettTilHelsehjelp="5" omsnivahenv="3" fagomrade="110"><RefEnhet enhetID="B"
     typeEnhet="1"/><RefEnhet enhetID="F" typeEnhet="2"/><RefEnhet enhetID="A" typeEnhet="7"/></Henvisning></Henvisningsperiode>
<Episode episodeID="E1" henvisningsperiodeID="P1" innDatoTid="2024-02-20T09:10:00" utDatoTid="2024-02-20T09:55:00"
     debitor="1" komNrHjem="0301" innmateHast="4" omsorgsniva="3" utTilstand="1" episodeFag="110"><Kontakt kontaktType="2"
     stedAktivitet="1"><Helseperson polUtforende="1"/></Kontakt><RefEnhet enhetID="B" typeEnhet="1"/><RefEnhet enhetID="F"
     typeEnhet="2"/><RefEnhet enhetID="A" typeEnhet="7"/><Tilstand tilstNr="1"><Kode kodeNr="1" Kodeverk="D"
     kodeVersjon="2024" kodeVerdi="F102"/></Tilstand></Episode></Objektholder>
"""
END = " </Institusjon>\n</Melding>\n"
MESSAGE = HEAD + PATIENT.format(nr="1") + END
MIDNIGHT = MESSAGE.replace("T09:10:00", "T00:00:00")
