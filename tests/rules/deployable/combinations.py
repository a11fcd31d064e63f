"""Every combination of a template's conditions that parameters can bring about."""

import itertools
import json
import math
from collections.abc import Iterator
from typing import NamedTuple

from deployable.conditions import Given, Undecided
from deployable.values import COMPARING, worth_trying

# Seconds of work. A template that passes it needs a smarter way, not more patience.
CHOICES_MAX = 200_000


class Combination(NamedTuple):
    holds: dict[str, bool]
    example: dict[str, str]  # values that bring it about

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.example.items()) or "any parameters"


def combinations(template: dict) -> list[Combination]:
    """Conditions and rules that share no parameter are looked at apart: what each side can be is few, what all can be is many."""
    sides = [_of_one(part) for part in _apart(template)]
    _limit(math.prod(map(len, sides)), "combinations of conditions")
    return [Combination(_joined(it.holds for it in chosen), _joined(it.example for it in chosen))
            for chosen in itertools.product(*sides)]


def distinct(found: list[Combination], conditions: set[str]) -> list[Combination]:
    """One of those that differ in none of these conditions."""
    kept = {tuple(it.holds[name] for name in sorted(conditions)): it for it in reversed(found)}
    return list(reversed(kept.values()))


def _of_one(template: dict) -> list[Combination]:
    values = worth_trying(template)
    _limit(math.prod(map(len, values.values())), "choices of parameters")
    found: dict[tuple, Combination] = {}
    for chosen in itertools.product(*values.values()):
        for holds in _outcomes(template, dict(zip(values, chosen, strict=True))):
            example = {name: str(value) for name, value in zip(values, chosen, strict=True)}
            found.setdefault(tuple(holds.items()), Combination(holds, example))
    return list(found.values())


def _outcomes(template: dict, values: dict) -> Iterator[dict[str, bool]]:
    open_ends: list[dict[str, bool]] = [{}]
    while open_ends:
        decided = open_ends.pop()
        given = Given(template, values, decided)
        try:
            if given.allowed():
                yield given.holds()
        except Undecided as undecided:
            open_ends += [{**decided, undecided.key: True}, {**decided, undecided.key: False}]


def _apart(template: dict) -> list[dict]:
    """The template's conditions and rules, in parts that have nothing in common."""
    parts: list[tuple[set, list]] = []
    for section in ("Conditions", "Rules"):
        for name, expression in (template.get(section) or {}).items():
            about = {(section, name), *_about(expression)}
            joined = [part for part in parts if part[0] & about]
            parts = [part for part in parts if not part[0] & about]
            parts.append((about.union(*(p[0] for p in joined)), [*(e for p in joined for e in p[1]), (section, name)]))
    return [{"Parameters": template.get("Parameters") or {},
             **{section: {name: template[section][name] for at, name in entries if at == section} for section in ("Conditions", "Rules")}}
            for _, entries in parts]


def _about(node) -> Iterator[tuple[str, str]]:
    """Parameters, other conditions, and whole comparisons, which may be undecided."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("Ref", "Condition") and isinstance(value, str):
                yield ("Conditions" if key == "Condition" else key, value)
            if key in COMPARING:
                yield (key, json.dumps(value, sort_keys=True))
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _about(item)


def _joined(parts: Iterator[dict]) -> dict:
    return {name: value for part in parts for name, value in part.items()}


def _limit(count: int, of_what: str) -> None:
    if count > CHOICES_MAX:
        raise ValueError(f"{count} {of_what} are more than the {CHOICES_MAX} that can be tried")
