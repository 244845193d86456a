"""FHIR XML into FHIR JSON, by the types of R4: https://hl7.org/fhir/R4/json.html, read backwards.

Entities and document types are refused: nothing outside the file is ever fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from fhir_facade.definitions import definitions

FHIR = "http://hl7.org/fhir "
XHTML = "http://www.w3.org/1999/xhtml"
DEEPEST = 64
NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt"})


class XmlFault(Exception):
    """XML that is not well-formed, or not FHIR; `line` is from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(slots=True)
class Node:
    """An element: "namespace name", attributes, children and texts in order, and its line."""

    tag: str
    attributes: dict[str, str]
    line: int
    parts: list[Any] = field(default_factory=list)

    @property
    def children(self) -> list[Node]:
        return [each for each in self.parts if isinstance(each, Node)]


def resource_of_xml(content: bytes) -> dict[str, Any]:
    """The resource of an XML document as JSON; XmlFault when it is none."""
    return _resource(_tree(content), 0)


def _tree(content: bytes) -> Node:
    """The tree of a document; a document type, and with it every entity of its own, is refused."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    top = Node("", {}, 1)
    open_nodes = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        node = Node(tag, attributes, parser.CurrentLineNumber)
        if len(open_nodes) > 4 * DEEPEST:
            raise XmlFault(node.line, "elements stand too deep in each other")
        open_nodes[-1].parts.append(node)
        open_nodes.append(node)

    def doctype(*_: object) -> None:
        raise XmlFault(parser.CurrentLineNumber, "a document type is not allowed")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_nodes.pop()
    parser.CharacterDataHandler = lambda text: open_nodes[-1].parts.append(text)
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise XmlFault(error.lineno, expat.ErrorString(error.code)) from None
    except ValueError as error:  # an encoding that Python does not know
        raise XmlFault(1, str(error)) from None
    return top.children[0]


def _resource(node: Node, depth: int) -> dict[str, Any]:
    name = _name(node)
    if definitions().kind(name) != "resource":
        raise XmlFault(node.line, f"R4 has no resource '{name}'")
    return {"resourceType": name, **_children(node, name, depth)}


def _children(node: Node, path: str, depth: int) -> dict[str, Any]:
    """The JSON keys of an element's children; `path` is what R4 knows the element as."""
    if depth > DEEPEST:
        raise XmlFault(node.line, "elements stand too deep in each other")
    made: dict[str, Any] = {}
    for key in ("id", "url"):
        if key in node.attributes:
            made[key] = node.attributes[key]
    for child in node.children:
        if child.tag == f"{XHTML} div":
            made["div"] = _markup(child, root=True)
            continue
        name = _name(child)
        below = f"{path}.{name}"
        element = definitions().element(below)
        if element is None:
            raise XmlFault(child.line, f"R4 has no element {below}")
        _put(made, name, child, below, many=element.many, depth=depth)
    return made


def _put(made: dict[str, Any], name: str, child: Node, path: str, *, many: bool, depth: int) -> None:
    """One child under its key: a primitive as value and twin, anything else as an object."""
    type_name = definitions().type_of(path) or ""
    if definitions().kind(type_name) == "primitive-type":
        value = _value(child, type_name)
        twin = _children(child, path, depth + 1)
        _add(made, name, value, many=many, twin=twin)
        return
    if type_name == "Resource":
        inner = next(iter(child.children), None)
        if inner is None:
            raise XmlFault(child.line, "a resource is missing")
        _add(made, name, _resource(inner, depth + 1), many=many, twin={})
        return
    _add(made, name, _children(child, path, depth + 1), many=many, twin={})


def _add(made: dict[str, Any], name: str, value: Any, *, many: bool, twin: dict[str, Any]) -> None:
    if not many:
        if value is not None:
            made[name] = value
        if twin:
            made[f"_{name}"] = twin
        return
    values = made.setdefault(name, [])
    values.append(value)
    twins = made.get(f"_{name}")
    if twin or twins is not None:
        twins = made.setdefault(f"_{name}", [None] * (len(values) - 1))
        twins.append(twin or None)


def _value(child: Node, type_name: str) -> Any:
    text = child.attributes.get("value")
    if text is None:
        return None
    if type_name == "boolean":
        return text == "true"
    try:
        return int(text) if type_name in NUMBERS else float(text) if type_name == "decimal" else text
    except ValueError:
        raise XmlFault(child.line, f"'{text[:20]}' is no {type_name}") from None


def _name(node: Node) -> str:
    tag = node.tag
    if not tag.startswith(FHIR):
        raise XmlFault(node.line, "the element is not of FHIR's namespace")
    return tag.removeprefix(FHIR)


def _markup(node: Node, *, root: bool = False) -> str:
    """XHTML as text, in its namespace."""
    name = node.tag.rpartition(" ")[2]
    said = [f" {key.rpartition(' ')[2]}={quoteattr(value)}" for key, value in node.attributes.items()]
    head = f'{name} xmlns="{XHTML}"' if root else name
    inner = "".join(escape(each) if isinstance(each, str) else _markup(each) for each in node.parts)
    return f"<{head}{''.join(said)}>{inner}</{name}>" if inner else f"<{head}{''.join(said)}/>"
