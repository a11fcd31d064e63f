"""Every name that a piece of a template refers to, where, and in which branches."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# Of a resource, what holds no references: its own type, and what is read apart.
_NOT_REFERRING = ("Type", "Condition", "DependsOn")
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")  # "${!x}" is the text "${x}"


class Reference(NamedTuple):
    how: str  # the function that refers: Ref, Fn::GetAtt, Fn::Sub, DependsOn, Condition or Fn::If
    name: str
    attribute: str | None
    place: str
    branches: tuple[tuple[str, bool], ...] = ()  # the conditions of each Fn::If around it, and their sides

    @property
    def to_condition(self) -> bool:
        return self.how in ("Condition", "Fn::If")

    def counts(self, holds: Mapping[str, bool] | None) -> bool:
        """CloudFormation reads the chosen branches only. Where nothing is known of a condition, both count."""
        return holds is None or all(holds.get(condition, side) == side for condition, side in self.branches)


def of_resource(definition: dict, place: str) -> Iterator[Reference]:
    """Metadata counts: a reference there orders the resources as one in the properties does (cloudonaut.io,
    "Optional DependsOn with CloudFormation: Metadata to the rescue")."""
    needed = definition.get("DependsOn", [])
    for name in needed if isinstance(needed, list) else [needed]:
        yield Reference("DependsOn", name if isinstance(name, str) else json.dumps(name), None, f"{place}.DependsOn")
    yield from own_condition(definition, place)
    for key, value in definition.items():
        if key not in _NOT_REFERRING:
            yield from references(value, f"{place}.{key}")


def of_output(definition: dict, place: str) -> Iterator[Reference]:
    yield from own_condition(definition, place)
    yield from references({key: value for key, value in definition.items() if key != "Condition"}, place)


def own_condition(definition: dict, place: str) -> Iterator[Reference]:
    if isinstance(definition.get("Condition"), str):
        yield Reference("Condition", definition["Condition"], None, f"{place}.Condition")


def of_condition(node, place: str) -> Iterator[Reference]:
    """In the section of conditions, `Condition` is a function; elsewhere it is a word of IAM's as well."""
    yield from references(node, place)
    yield from _conditions_in(node, place)


def _conditions_in(node, place):
    if isinstance(node, dict):
        yield from own_condition(node, place)
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _conditions_in(value, f"{place}.{key}")


def references(node, place: str, branches: tuple = ()) -> Iterator[Reference]:
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from references(item, f"{place}.{number}", branches)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _READERS.get(key, _plain)(key, value, f"{place}.{key}", branches)


def _plain(_key, value, place, branches):
    yield from references(value, place, branches)


def _ref(key, value, place, branches):
    if isinstance(value, str):
        yield Reference(key, value, None, place, branches)
    else:
        yield from references(value, place, branches)


def _get_att(key, value, place, branches):
    parts = value.split(".", 1) if isinstance(value, str) else value
    if isinstance(parts, list) and parts and isinstance(parts[0], str):
        attribute = parts[1] if len(parts) > 1 and isinstance(parts[1], str) else None
        yield Reference(key, parts[0], attribute, place, branches)
        yield from references(parts[1:], place, branches)  # the attribute may be a Ref to a parameter
    else:
        yield from references(value, place, branches)


def _sub(key, value, place, branches):
    text, own = (list(value) + [{}])[:2] if isinstance(value, list) and value else (value, {})
    own = own if isinstance(own, dict) else {}
    for variable in _VARIABLE.findall(text) if isinstance(text, str) else ():
        if variable not in own:
            name, _, attribute = variable.partition(".")
            yield Reference(key, name, attribute or None, place, branches)
    yield from references(own, place, branches)


def _if(key, value, place, branches):
    if not (isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)):
        yield from references(value, place, branches)
        return
    yield Reference(key, value[0], None, place, branches)
    for number, side in ((1, True), (2, False)):
        yield from references(value[number], f"{place}.{number}", (*branches, (value[0], side)))


_READERS = {"Ref": _ref, "Fn::GetAtt": _get_att, "Fn::Sub": _sub, "Fn::If": _if}
