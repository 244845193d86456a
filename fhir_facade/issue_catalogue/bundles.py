"""What can be wrong with a batch or a transaction, before anything is stored. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    # ---- the Bundle
    "bundle-type-not-processed": (
        "error", "not-supported", 400,
        "A Bundle of the type '{type}' is not carried out.", "En Bundle av typen '{type}' blir ikke utført.",
        "Send type transaction (all or nothing) or batch (each entry on its own), with a request in every entry.",
        "Send typen transaction (alt eller ingenting) eller batch (hver post for seg), med request i hver post.",
    ),
    "bundle-entries-too-many": (
        "error", "too-long", 413,
        "The {type} has {found} entries; at most {limit} are taken.",
        "Bundle av typen {type} har {found} poster; høyst {limit} tas imot.",
        "Send several smaller Bundles.", "Send flere mindre Bundle-r.",
    ),
    "bundle-entry-is-bundle": (
        "error", "structure", 422,
        "A Bundle inside a {type} is not taken.", "En Bundle inne i en {type} tas ikke imot.",
        "Put its entries among the others, or send it on its own.",
        "Legg postene dens blant de andre, eller send den for seg.",
    ),
    # ---- the request of an entry
    "entry-request-missing": (
        "error", "required", 400,
        "The entry has no request, so nothing says what to do with it.",
        "Posten har ingen request, så ingenting sier hva som skal gjøres med den.",
        "Give it request.method and request.url.", "Gi den request.method og request.url.",
    ),
    "entry-method-unknown": (
        "error", "value", 400,
        "'{found}' is no method of an entry.", "'{found}' er ingen metode for en post.",
        "Methods: {allowed}{nearest}.", "Metoder: {allowed}{nearest}.",
    ),
    "entry-url-invalid": (
        "error", "value", 400,
        "request.url cannot be followed: {reason}.", "request.url kan ikke følges: {grunn}.",
        "Write it relative to the base of the server, such as Patient, Patient/[id] or Patient?name=Hansen.",
        "Skriv den relativt til tjenerens base, som Patient, Patient/[id] eller Patient?name=Hansen.",
    ),
    "entry-url-elsewhere": (
        "error", "not-supported", 400,
        "request.url is on another server.", "request.url er på en annen tjener.",
        "Write it relative to the base of this server.", "Skriv den relativt til basen til denne tjeneren.",
    ),
    "entry-url-type": (
        "error", "not-supported", 400,
        "'{type}' in request.url is no resource type of R4.", "'{type}' i request.url er ingen ressurstype i R4.",
        "Write [type], [type]/[id] or [type]?[criteria]{nearest}.",
        "Skriv [type], [type]/[id] eller [type]?[vilkår]{nearest}.",
    ),
    "entry-method-not-here": (
        "error", "not-supported", 405,
        "{method} does not go with this request.url.", "{method} passer ikke til denne request.url.",
        "{method} takes {allowed}.", "{method} tar {allowed}.",
    ),
    # ---- what an entry brings
    "entry-resource-missing": (
        "error", "required", 400,
        "{method} needs a resource in the entry.", "{method} trenger en ressurs i posten.",
        "Add entry.resource.", "Legg til entry.resource.",
    ),
    "entry-resource-ignored": (
        "warning", "business-rule", 200,
        "{method} takes no resource; the one in the entry is not looked at.",
        "{method} tar ingen ressurs; den som er i posten, blir ikke sett på.",
        "Leave it out, or send PUT to store it.", "Utelat den, eller send PUT for å lagre den.",
    ),
    "entry-resource-type": (
        "error", "value", 400,
        "The resource is {found}, and request.url says {type}.", "Ressursen er {found}, og request.url sier {type}.",
        "Let both name the same type.", "La begge nevne samme type.",
    ),
    "entry-resource-id": (
        "error", "value", 400,
        "The id of the resource is not the one in request.url.",
        "Id-en til ressursen er ikke den i request.url.",
        "A PUT needs the id in both places.", "En PUT trenger id-en begge steder.",
    ),
    "entry-patch-invalid": (
        "error", "structure", 400,
        "The patch cannot be read: {reason}.", "Endringen (patch) kan ikke leses: {grunn}.",
        "Send a Parameters resource (FHIRPath Patch), or a Binary of one of: {allowed}.",
        "Send en Parameters-ressurs (FHIRPath Patch), eller en Binary av en av: {allowed}.",
    ),
    "entry-condition-invalid": (
        "error", "value", 400,
        "request.{name} cannot be read: {expected} is expected.",
        "request.{name} kan ikke leses: {expected} er ventet.",
        "Correct it, or leave it out.", "Rett den, eller utelat den.",
    ),
    "entry-condition-misplaced": (
        "error", "business-rule", 400,
        "request.{name} says nothing about {method}.", "request.{name} sier ingenting om {method}.",
        "It goes with: {allowed}.", "Den hører til: {allowed}.",
    ),
    # ---- between entries
    "entry-full-url-target": (
        "error", "value", 422,
        "The fullUrl ends in another resource than request.url names.",
        "fullUrl ender i en annen ressurs enn den request.url nevner.",
        "Let both end in the same [type]/[id], or use urn:uuid: with a new UUID.",
        "La begge ende i samme [type]/[id], eller bruk urn:uuid: med en ny UUID.",
    ),
    "entry-full-url-repeated": (
        "error", "duplicate", 422,
        "Entry {first} has the same fullUrl, so references to it say nothing certain.",
        "Post {first} har samme fullUrl, så referanser til den sier ingenting sikkert.",
        "Give each entry a fullUrl of its own.", "Gi hver post sin egen fullUrl.",
    ),
    "entry-target-repeated": (
        "error", "duplicate", 422,
        "Entry {first} changes the same resource; in a transaction that is done once.",
        "Post {first} endrer samme ressurs; i en transaksjon gjøres det én gang.",
        "Put both changes into one entry, or send two transactions.",
        "Legg begge endringene i én post, eller send to transaksjoner.",
    ),
    "entry-reference-unknown": (
        "error", "not-found", 422,
        "No entry that stores a resource has this as its fullUrl.",
        "Ingen post som lagrer en ressurs, har dette som fullUrl.",
        "Add the entry, or refer to a stored resource as [type]/[id].",
        "Legg til posten, eller vis til en lagret ressurs som [type]/[id].",
    ),
    "entry-reference-in-batch": (
        "error", "business-rule", 422,
        "In a batch no entry can refer to what another one stores (entry {entry}).",
        "I en batch kan ingen post vise til det en annen lagrer (post {entry}).",
        "Send it as a transaction.", "Send den som transaction.",
    ),
    "entry-reference-not-conditional": (
        "error", "not-supported", 422,
        "A search stands in the place of a reference; {where} that is not carried out.",
        "Et søk står i stedet for en referanse; {hvor} blir det ikke utført.",
        "Refer to [type]/[id]; conditional references belong to elements Reference.reference in a transaction.",
        "Vis til [type]/[id]; betingede referanser hører til elementene Reference.reference i en transaction.",
    ),
    "entry-reference-criteria": (
        "error", "value", 422,
        "The search in the place of a reference has no criteria that can be read.",
        "Søket i stedet for en referanse har ingen vilkår som kan leses.",
        "Write it as [type]?[parameter]=[value].", "Skriv det som [type]?[parameter]=[verdi].",
    ),
    "entry-reference-none": (
        "error", "not-found", 412,
        "The search in the place of a reference finds no {type}.",
        "Søket i stedet for en referanse finner ingen {type}.",
        "It must match exactly one; store that one first, or send it in the same Bundle and refer to its fullUrl.",
        "Det må treffe nøyaktig én; lagre den først, eller send den i samme Bundle og vis til fullUrl.",
    ),
    "entry-reference-many": (
        "error", "multiple-matches", 412,
        "The search in the place of a reference finds {count} resources of the type {type}.",
        "Søket i stedet for en referanse finner {count} ressurser av typen {type}.",
        "It must match exactly one; search by an identifier with its system.",
        "Det må treffe nøyaktig én; søk på en identifikator med system.",
    ),
    "entry-references-circular": (
        "error", "business-rule", 422,
        "The ids of the entries {entries} each need the id of another one of them.",
        "Id-ene til postene {entries} trenger hver id-en til en annen av dem.",
        "Take one of the references away, or name a stored resource by [type]/[id].",
        "Ta bort en av referansene, eller vis til en lagret ressurs med [type]/[id].",
    ),
}  # fmt: skip
