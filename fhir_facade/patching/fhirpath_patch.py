"""FHIRPath Patch: operations as a Parameters resource. https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.definitions import definitions
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.json_patch import LARGEST, MOST_OPERATIONS, fault, size_of
from fhir_facade.patching.places import Place, key_in, places_of, twin_steps
from fhir_facade.profile.fhirpath_syntax import FhirPathError

PARTS = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}
VALUE = "value"
TEXTS = {"path": ("valueString",), "name": ("valueString",), "type": ("valueCode", "valueString")}
NUMBERS = ("index", "source", "destination")


def fhirpath_patched(resource: Resource, parameters: Any) -> Resource:
    """The resource after every operation in turn; Refused, naming the operation, when one cannot be done."""
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        raise fault("patch-malformed", "Parameters", "it is no Parameters resource", "den er ingen Parameters-ressurs")
    listed = parameters.get("parameter")
    if not isinstance(listed, list) or not listed:
        raise fault("patch-malformed", "Parameters.parameter", "it has no operation", "den har ingen operasjon")
    if len(listed) > MOST_OPERATIONS:
        raise Refused(Issue("patch-too-large", "Parameters.parameter", {"limit": MOST_OPERATIONS}))
    made, room = deepcopy(resource), LARGEST
    for number, operation in enumerate(listed):
        at = f"Parameters.parameter[{number}]"
        parts = _parts(operation, at)
        room -= size_of(operation)
        if room < 0:
            raise Refused(Issue("patch-too-large", at, {"limit": LARGEST}))
        try:
            _Operation(made, parts, at).run()
        except FhirPathError as error:
            raise fault("patch-malformed", f"{at}.part", f"the path: {error}", f"stien: {error}") from None
    return made


def _parts(operation: Any, at: str) -> dict[str, Any]:
    """The parts of an operation by name, and under "type" what it does."""
    held = operation.get("part") if isinstance(operation, dict) else None
    if not isinstance(held, list) or operation.get("name") != "operation":
        raise fault(
            "patch-malformed", at, "each parameter is called operation and has parts",
            "hver parameter heter operation og har deler",
        )  # fmt: skip
    found: dict[str, Any] = {}
    for number, part in enumerate(held):
        place = f"{at}.part[{number}]"
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str) or name in found:
            raise fault("patch-malformed", place, "a part has a name of its own", "en del har et eget navn")
        found[name] = _value_of(part, name, place)
    does = found.get("type")
    if does not in PARTS:
        allowed = ", ".join(PARTS)
        raise fault("patch-malformed", at, f"its type is none of {allowed}", f"typen er ingen av {allowed}")
    for name in found:
        if name not in PARTS[does] and name != "type":
            raise fault("patch-malformed", at, f"{does} takes no such part", f"{does} tar ingen slik del")
    for name in PARTS[does]:
        if name not in found:
            raise fault("patch-malformed", at, f"the part '{name}' is missing", f"delen «{name}» mangler")
    return found


def _value_of(part: Mapping[str, Any], name: str, at: str) -> Any:
    if name in TEXTS:
        texts = [part[each] for each in TEXTS[name] if isinstance(part.get(each), str)]
        if len(texts) == 1:
            return texts[0]
        raise fault("patch-malformed", at, f"{TEXTS[name][0]} is expected", f"{TEXTS[name][0]} er ventet")
    if name in NUMBERS:
        number = part.get("valueInteger")
        if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
            return number
        raise fault(
            "patch-malformed", at, "valueInteger from 0 on is expected", "valueInteger fra 0 og oppover er ventet"
        )
    return Given.of(part, at)


class Given:
    """A value as a patch gives it: of a type, or, where a type has no name, of parts."""

    def __init__(self, type_name: str, value: Any, twin: Any, parts: list[tuple[str, Given]], at: str) -> None:
        self.type, self.value, self.twin, self.parts, self.at = type_name, value, twin, parts, at

    @classmethod
    def of(cls, part: Mapping[str, Any], at: str) -> Given:
        """The value of a part."""
        keys = {key.removeprefix("_") for key in part if key.removeprefix("_").startswith(VALUE)}
        held = part.get("part")
        if len(keys) == 1 and held is None:
            key = next(iter(keys))
            return cls(key[len(VALUE) :], part.get(key), part.get(f"_{key}"), [], at)
        if not keys and isinstance(part.get("resource"), dict):
            return cls("Resource", part["resource"], None, [], at)
        if not keys and isinstance(held, list) and held and all(isinstance(each, dict) for each in held):
            inner = [(str(each.get("name")), cls.of(each, f"{at}.part[{n}]")) for n, each in enumerate(held)]
            return cls("", None, None, inner, at)
        raise fault("patch-malformed", at, "one value is expected", "én verdi er ventet")

    def set_in(self, holder: dict[str, Any], path: str, name: str) -> None:
        """Put the value into an object under an element's name: into its list, or in its place where it has none."""
        key = self.key(path, name)
        element = definitions().element(f"{path}.{key}")
        if element is None:
            raise fault(
                "patch-not-possible", self.at, f"{path} has no element for it", f"{path} har ikke noe element for den"
            )
        old = key_in(holder, path, name)
        value = self.made(f"{path}.{key}")
        if element.many:
            _into_list(holder, key, len(_length(holder, key)), value, self.twin)
            return
        if old is not None:
            raise fault("patch-not-possible", self.at, "something stands there already", "noe står der allerede")
        _set(holder, key, value, self.twin)

    def key(self, path: str, name: str) -> str:
        """The JSON name of an element for a value of this type."""
        element = definitions().element(f"{path}.{name}")
        if element is not None and not element.path.endswith("[x]"):
            return name
        return f"{name}{self.type}"

    def made(self, path: str) -> Any:
        """The value as JSON at a path."""
        if not self.parts:
            return deepcopy(self.value)
        built: dict[str, Any] = {}
        for name, given in self.parts:
            given.set_in(built, path, name)
        return built


class _Operation:
    """One operation on a resource that is being made."""

    def __init__(self, resource: Resource, parts: dict[str, Any], at: str) -> None:
        self.resource, self.parts, self.at = resource, parts, at

    def run(self) -> None:
        does, found = self.parts["type"], places_of(self.parts["path"], self.resource)
        if does == "delete":
            if len(found) > 1:
                raise self.fault("several elements stand there", "flere elementer står der")
            for place in found:
                self.take(place)
        elif does in ("add", "replace"):
            place = self.one(found)
            (self.add if does == "add" else self.replace)(place)
        else:
            self.in_list(found, does)

    def one(self, found: list[Place]) -> Place:
        if len(found) != 1:
            there = ("nothing stands", "ingenting står") if not found else ("several elements stand", "flere står")
            raise self.fault(f"{there[0]} there", f"{there[1]} der")
        return found[0]

    def fault(self, english: str, norwegian: str) -> Refused:
        return fault("patch-not-possible", f"{self.at}.part.where(name='path')", english, norwegian)

    def add(self, place: Place) -> None:
        given: Given = self.parts["value"]
        if isinstance(place.item.value, dict):
            given.set_in(place.item.value, place.item.path, self.parts["name"])
        else:
            holder, key = self.holder(twin_steps(place.steps), make=True)
            given.set_in(holder[key], place.item.type, self.parts["name"])

    def replace(self, place: Place) -> None:
        if not place.steps:
            raise self.fault("a resource is not replaced by a patch", "en ressurs erstattes ikke av en patch")
        given: Given = self.parts["value"]
        holder, key = self.holder(place.steps)
        if isinstance(key, int):
            parent, name = self.holder(place.steps[:-1])
            _drop(parent, str(name), key)
            _into_list(parent, str(name), key, given.made(self.path_of(place)), given.twin)
            return
        element = definitions().element(self.path_of(place))
        choice = element is not None and element.path.endswith("[x]")
        name = element.path.rsplit(".", 1)[-1].removesuffix("[x]") if element is not None and choice else key
        holder.pop(key, None)
        holder.pop(f"_{key}", None)
        above = self.path_of(place).rsplit(".", 1)[0]
        new = given.key(above, name)
        _set(holder, new, given.made(f"{above}.{new}"), given.twin)

    def take(self, place: Place) -> None:
        if not place.steps:
            raise self.fault("a resource is not deleted by a patch", "en ressurs slettes ikke av en patch")
        last = place.steps[-1]
        if isinstance(last, int):
            parent, name = self.holder(place.steps[:-1])
            _drop(parent, str(name), last)
        else:
            holder, _ = self.holder(place.steps)
            holder.pop(last, None)
            holder.pop(f"_{last}", None)

    def in_list(self, found: list[Place], does: str) -> None:
        """insert and move: within the one list whose items the path gives."""
        if not found or len({place.steps[:-1] for place in found}) != 1 or not isinstance(found[0].steps[-1], int):
            raise self.fault("it is no list", "det er ingen liste")
        parent, key = self.holder(found[0].steps[:-1])
        name, size = str(key), len(_length(parent, str(key)))
        if does == "insert":
            given: Given = self.parts["value"]
            if self.parts["index"] > size:
                raise self.fault(f"the list has {size} items", f"listen har {size} elementer")
            _into_list(parent, name, self.parts["index"], given.made(self.path_of(found[0])), given.twin)
            return
        source, destination = self.parts["source"], self.parts["destination"]
        if source >= size or destination >= size:
            raise self.fault(f"the list has {size} items", f"listen har {size} elementer")
        for each in (name, f"_{name}"):
            if isinstance(parent.get(each), list):
                items = [*parent[each], *[None] * (size - len(parent[each]))]
                items.insert(destination, items.pop(source))
                parent[each] = items

    def holder(self, steps: tuple[str | int, ...], *, make: bool = False) -> tuple[Any, str | int]:
        """The object or list that the last step leads from, and that step; `make` makes the twin of a primitive."""
        here: Any = self.resource
        for number, step in enumerate(steps[:-1]):
            if make and isinstance(here, dict) and step not in here:
                here[step] = [] if isinstance(steps[number + 1], int) else {}
            here = here[step]
        last = steps[-1]
        if make and isinstance(here, dict):
            here.setdefault(last, {})
        elif make and isinstance(here, list) and isinstance(last, int):
            here += [None] * (last + 1 - len(here))
            here[last] = here[last] or {}
        return here, last

    def path_of(self, place: Place) -> str:
        """The path that definitions know the element by."""
        names = (step for step in place.steps if isinstance(step, str))
        return ".".join([str(self.resource["resourceType"]), *names])


def _length(holder: Mapping[str, Any], key: str) -> range:
    """The indexes of a list and of what stands beside it."""
    lists = [holder[each] for each in (key, f"_{key}") if isinstance(holder.get(each), list)]
    return range(max(map(len, lists), default=0))


def _into_list(holder: dict[str, Any], key: str, index: int, value: Any, twin: Any) -> None:
    """Insert an item; the list of twins beside it keeps in step."""
    size, beside = len(_length(holder, key)), f"_{key}"
    if value is not None or key in holder:
        items = [*holder.get(key, []), *[None] * (size - len(holder.get(key, [])))]
        items.insert(index, value)
        holder[key] = items
    if twin is not None or beside in holder:
        items = [*holder.get(beside, []), *[None] * (size - len(holder.get(beside, [])))]
        items.insert(index, deepcopy(twin))
        holder[beside] = items


def _drop(holder: dict[str, Any], key: str, index: int) -> None:
    """Take an item out of a list and of the list beside it; a list without any item goes."""
    for each in (key, f"_{key}"):
        items = holder.get(each)
        if isinstance(items, list):
            if index < len(items):
                del items[index]
            if not any(item is not None for item in items):
                del holder[each]


def _set(holder: dict[str, Any], key: str, value: Any, twin: Any) -> None:
    if value is not None:
        holder[key] = value
    if twin is not None:
        holder[f"_{key}"] = deepcopy(twin)
