"""The values of parameters that make a difference to conditions and rules."""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Other(NamedTuple):
    """Some value that no condition names. Equal numbers are equal values; parameters that are compared share them."""

    number: int

    def __str__(self) -> str:
        return f"<other {self.number}>" if self.number else "<other>"


# Those that compare: their arguments are values, or lists of them.
COMPARING = ("Fn::Equals", "Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn")


def text(literal) -> str:
    """As CloudFormation compares it: YAML's true and 0 are "true" and "0"."""
    return str(literal).lower() if isinstance(literal, bool) else str(literal)


def worth_trying(template: dict) -> dict[str, list]:
    """Of each parameter (pseudo parameters too) that some comparison names: every value that it names, and one beside."""
    together = _compared(template)
    parameters = template.get("Parameters") or {}
    return {name: _values(parameters.get(name, {}), literals, len(group))
            for group, literals in together for name in sorted(group)}


def _values(definition: dict, literals: set[str], sharing: int) -> list:
    if "AllowedValues" in definition:
        allowed = [text(value) for value in definition["AllowedValues"]]
        named = [value for value in allowed if value in literals]
        others = [value for value in allowed if value not in literals]
        return named + (others if sharing > 1 else others[:1])
    return sorted(filter(lambda value: _may_be(definition, value), literals)) + [Other(n) for n in range(sharing)]


def _may_be(definition: dict, value: str) -> bool:
    pattern = definition.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(str(pattern), value):
        return False
    if definition.get("Type") == "Number":
        number = float(value)
        return definition.get("MinValue", number) <= number <= definition.get("MaxValue", number)
    return definition.get("MinLength", 0) <= len(value) <= definition.get("MaxLength", len(value))


def _compared(template: dict) -> list[tuple[set[str], set[str]]]:
    """Parameters that are compared with each other, directly or through a third, and the literals that any of them meets."""
    groups: list[tuple[set[str], set[str]]] = []
    for arguments in _comparisons([template.get("Conditions"), template.get("Rules")]):
        names, literals = set(_refs(arguments)), set(_literals(arguments))
        if names:
            joined = [group for group in groups if group[0] & names]
            groups = [group for group in groups if not group[0] & names]
            groups.append((names.union(*(g[0] for g in joined)), literals.union(*(g[1] for g in joined))))
    return groups


def _comparisons(node) -> Iterator[list]:
    if isinstance(node, list):
        for item in node:
            yield from _comparisons(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in COMPARING:
                yield value
            yield from _comparisons(value)


def _refs(node) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _refs(item)
    elif isinstance(node, dict) and isinstance(node.get("Ref"), str):
        yield node["Ref"]


def _literals(node) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _literals(item)
    elif isinstance(node, (str, int, float, bool)):
        yield text(node)
