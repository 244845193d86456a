"""What a definition says that cannot be judged as it stands, found when it is listed and never fatal.

A package is used all the same; each sentence says what becomes of the place.
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import MISSING, Binding, Definition, Row
from fhir_facade.profile.bindings import Bindings
from fhir_facade.profile.fhirpath_functions import FUNCTIONS, functions_of
from fhir_facade.profile.fhirpath_syntax import Call, Expression, FhirPathError, Name, parse
from fhir_facade.profile.schema import Node, Schema
from fhir_facade.profile.slicing import OID, criteria, parse_steps

REFUSED = ("elementDefinition", "slice", "checkModifiers")
CORE = "http://hl7.org/fhir/ValueSet/"


def defects(schema: Schema, bindings: Bindings, definition: Definition) -> Iterator[str]:
    """What is told of one definition; its own rows are looked at, not those that it rests on."""
    root = schema.node(f"{definition.url}|{definition.version}" if definition.version else definition.url)
    for row in definition.rows.values():
        if row.binding is not None:
            yield from _binding(bindings, row, row.binding)
        yield from _address(row)
        for constraint in row.constraints:
            for said in _constraint(definition.type, row, constraint.expression):
                yield f"{row.id}: constraint {constraint.key} {said}"
    if root is not None:
        yield from _slices(root, definition)


def _binding(bindings: Bindings, row: Row, binding: Binding) -> Iterator[str]:
    url = binding.value_set.partition("|")[0]
    judged = binding.strength in ("required", "extensible")
    found = bindings.catalogue.value_set(binding.value_set)
    if url.startswith(OID) or (found is not None and found.url != url):
        known = bindings.catalogue.code_system(url) is not None
        meant = "all its codes are meant" if known else "its list is not at hand, so no code is judged"
        yield f"{row.id}: bound to {url}, a code system in the place of a value set: {meant}"
        return
    if definitions().codes(url) is not None or definitions().code_syntax(url) is not None:
        return
    if found is None and not (url.startswith(CORE) and not judged):
        then = "codes are not judged" if judged else "the binding is no demand, and is ignored"
        yield f"{row.id}: bound ({binding.strength}) to {binding.value_set}, which is not at hand: {then}"


def _address(row: Row) -> Iterator[str]:
    """A fixed system that no URI can be, or that looks like one and is none."""
    if not row.path.endswith(".system") or row.fixed is MISSING or not isinstance(row.fixed, str):
        return
    if ":" not in row.fixed:
        yield f"{row.id}: fixed to '{row.fixed}', which is no absolute URI: resources must carry it so"
    elif row.fixed.startswith("urn:uid:"):
        yield f"{row.id}: fixed to {row.fixed}, where urn:oid: was meant, it seems: resources must carry it so"


def _slices(root: Node, definition: Definition) -> Iterator[str]:
    """Slices that cannot be told apart, and those that the list or the system behind a binding tells apart."""
    for row in definition.rows.values():
        if row.slicing is None:
            continue
        node = _at(root, row.id)
        if node is None:
            continue
        for part in node.slices:
            found = criteria(part)
            if any(each.kind == "unknown" for each in found):
                yield f"{row.id}:{part.slice_name}: nothing tells the slice apart, so none is missed and none too many"
            elif any(each.binding is not None for each in found):
                yield f"{row.id}:{part.slice_name}: told apart by a binding: the system of a coding decides"
        for _, path in row.slicing.discriminators:
            if len(parse_steps(path) or ()) > 1 and _goes_through_a_list(node, path):
                yield f"{row.id}: told apart by {path}, which may stand several times: any of them may match"


def _goes_through_a_list(node: Node, path: str) -> bool:
    held: Node | None = node
    for step in parse_steps(path) or ():
        held = held.children.get(step.name) if held is not None else None
        if held is not None and held.many:
            return True
    return False


def _at(root: Node, id: str) -> Node | None:
    """The node of an element id below a root."""
    node: Node | None = root
    for segment in id.split(".")[1:]:
        name, _, sliced = segment.partition(":")
        node = node.children.get(name) if node is not None else None
        if node is not None and sliced:
            node = next((part for part in node.slices if part.slice_name == sliced), None)
    return node


def _constraint(type_name: str, row: Row, expression: str) -> Iterator[str]:
    if not expression:
        yield "has no FHIRPath, and is not judged"
        return
    try:
        tree = parse(expression)
    except FhirPathError as error:
        yield f"cannot be read as FHIRPath ({error}), and is not judged"
        return
    for name in sorted(set(functions_of(tree))):
        if name not in FUNCTIONS or name in REFUSED:
            yield f"calls {name}(), which is not supported, and is not judged"
    path = row.path
    known = definitions().type_of(path) or type_name
    inline = known in ("BackboneElement", "Element", "") or "." not in path
    for missing in dict.fromkeys(_missing(tree, path if inline else known)):
        yield f"asks for {missing}, which is no element of R4: it never finds it"


def _missing(tree: Expression, path: str) -> Iterator[str]:
    """Paths of names that lead nowhere, as far as they can be followed without evaluating anything."""
    if isinstance(tree, Name):
        said = _names(tree)
        if said is not None and said[0][:1].islower():
            yield from _follow(said, path)
            return
    for name in getattr(tree, "__dataclass_fields__", ()):
        held = getattr(tree, name)
        if isinstance(tree, Call) and name == "arguments":
            continue  # the arguments stand at another place
        if hasattr(held, "__dataclass_fields__"):
            yield from _missing(held, path)


def _names(tree: Name) -> list[str] | None:
    if tree.base is None:
        return [tree.name]
    above = _names(tree.base) if isinstance(tree.base, Name) else None
    return None if above is None else [*above, tree.name]


def _follow(names: list[str], path: str) -> Iterator[str]:
    said = path
    for name in names:
        said = f"{said}.{name}"
        choice = definitions().element(f"{path}.{name}[x]")
        if choice is not None:
            return  # whichever type it is
        if definitions().element(f"{path}.{name}") is None:
            if definitions().type_of(path) is not None or "." not in path:
                yield said
            return
        known = definitions().type_of(f"{path}.{name}") or ""
        path = f"{path}.{name}" if known in ("BackboneElement", "Element", "") else known
