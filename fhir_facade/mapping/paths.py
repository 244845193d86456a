"""The path grammar of mapping rows: period.start, name[official].family, extension(kommune).valueCoding.

A path is read in both directions, so it is not FHIRPath: it names one place and holds no expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fhir_facade.definitions import Element, concrete_name, definitions
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.ir import Path, Step
from fhir_facade.mapping.vocabulary import Extension, Vocabulary

STEP = re.compile(r"(_?[A-Za-z]+)(?:\[([A-Za-z0-9-]+)\])?(?:\(([A-Za-z0-9-]+)\))?").fullmatch

Report = Callable[[str], None]


def resolve(text: str, root: str, inside: Extension | None, words: Vocabulary, report: Report) -> Resolved | None:
    """Read a path below `root` (a type or a longer path); faults go to `report` and give None.

    `inside` is the extension that `root` stands in, so that extension(part) names one of its parts.
    """
    steps: list[Step] = []
    at, extension = root, inside
    element: Element | None = None
    for part in text.split("."):
        match = STEP(part)
        if match is None:
            report(f"'{part}' is no step of a path")
            return None
        name, label, argument = match[1], match[2] or "", match[3] or ""
        plain = name.removeprefix("_")  # _district holds the extensions of the primitive district
        above = element
        element = definitions().element(f"{at}.{plain}")
        if element is None:
            known = definitions().children(at)
            report(f"'{name}': {at} has no element '{name}'{nearest(plain, known)}")
            return None
        if fault := _fault(name, label, argument, element, above, steps):
            report(fault)
            return None
        url = ""
        if name == "extension":
            found = _extension_url(argument, at, extension, words, report)
            if found is None:
                return None
            url, extension = found
        elif extension and at.endswith("extension") and (misfit := _misfit(name, extension, steps)):
            report(misfit)
            return None
        steps.append(Step(name, element.many, label or argument, url))
        at = f"{at}.{plain}"
    if steps and steps[-1].name.startswith("_"):
        report(f"'{steps[-1].name}' holds extensions: go on with extension(...)")
        return None
    return Resolved(tuple(steps), element, at, extension) if element else None


def _fault(name: str, label: str, argument: str, element: Element, above: Element | None, steps: list[Step]) -> str:
    """What is wrong with one step that names an element, or "": underscores, labels and parentheses."""
    own = f"_{steps[-1].name}" if steps else ""
    if argument and name != "extension":
        return f"only extension takes a name in parentheses, not '{name}'"
    if label and not element.many:
        return f"'{name}' does not repeat, so it has no label [{label}]"
    if name.startswith("_") and (element.many or not _primitive(element)):
        return f"'{name}': an underscore stands before a primitive element that does not repeat"
    if above is not None and _primitive(above) and not own.startswith("__"):
        return f"'{own[1:]}' is a value: what is said of it stands in '{own}.extension(...)'"
    if own.startswith("__") and name != "extension":
        return f"'{own[1:]}' holds only extension(...), not '{name}'"
    return ""


def _primitive(element: Element) -> bool:
    return len(element.types) == 1 and definitions().kind(element.types[0]) == "primitive-type"


class Resolved:
    """A path that exists: its steps, the element it ends in, its full name and the extension it stands in."""

    def __init__(self, path: Path, element: Element, full: str, extension: Extension | None) -> None:
        self.path, self.element, self.full, self.extension = path, element, full, extension


def _extension_url(
    name: str, at: str, inside: Extension | None, words: Vocabulary, report: Report
) -> tuple[str, Extension | None] | None:
    if inside is not None and at.endswith("extension"):
        if name in inside.parts:
            return name, inside
        report(f"extension '{inside.name}' has no part '{name}'{nearest(name, inside.parts)}")
        return None
    declared = words.extensions.get(name)
    if declared is None:
        report(f"no extension '{name}' in systems.yaml{nearest(name, words.extensions)}")
        return None
    if declared.on and at.split(".", 1)[0] not in declared.on and at not in declared.on:
        report(f"extension '{name}' is declared on {', '.join(declared.on)}, not on {at}")
        return None
    return declared.url, declared


def _misfit(name: str, extension: Extension, steps: list[Step]) -> str:
    """What is wrong with the type of an extension's value, or ""; what is no value has no type."""
    if not name.startswith("value"):
        return ""
    part = steps[-1].label if steps and steps[-1].url in extension.parts else ""
    declared = extension.parts.get(part, "") if part else extension.value
    if name == concrete_name("value[x]", declared or "?"):
        return ""
    return f"extension '{extension.name}' holds {declared or 'parts'}, not {name}"
