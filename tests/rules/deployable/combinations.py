"""Every combination of a template's conditions that parameters can bring about."""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from deployable.conditions import Given, Undecided
from deployable.values import worth_trying

# A second's work. A template that passes it needs a smarter way, not more patience.
CHOICES_MAX = 200_000


class Combination(NamedTuple):
    holds: dict[str, bool]
    example: dict[str, str]  # values that bring it about

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.example.items()) or "any parameters"


def combinations(template: dict) -> list[Combination]:
    values = worth_trying(template)
    count = math.prod(map(len, values.values()))
    if count > CHOICES_MAX:
        raise ValueError(f"{count} choices of parameters are more than the {CHOICES_MAX} that can be tried")
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
