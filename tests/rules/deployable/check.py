"""Holds a template to what CloudFormation asks of it, in every combination of its conditions."""

from collections.abc import Callable

from cloudformation import existence, order
from cloudformation.names import Names
from deployable.combinations import Combination, combinations, distinct
from deployable.guard import not_guarded


def broken_names(names: Names, holds) -> list[str]:
    """CloudFormation: "Unresolved resource dependencies"."""
    return [str(it) for it in existence.unresolved(names, holds)]


def circles(names: Names, holds) -> list[str]:
    turning = order.circles(order.needs(names, holds))
    return [f"Resources: each of {', '.join(turning)} needs itself to be made first"] if turning else []


def unused_conditions(template: dict, found: list[Combination]) -> list[str]:
    """A condition that always or never holds is a typo, or the sign that these combinations are not those of AWS."""
    sides = {name: {it.holds[name] for it in found} for name in template.get("Conditions") or {}}
    return [f"Conditions.{name} {'always' if True in seen else 'never'} holds, whatever the parameters are"
            for name, seen in sides.items() if len(seen) == 1]


TEMPLATE_CHECKS = (broken_names, circles)
DEPLOYMENT_CHECKS = (broken_names, circles, not_guarded)


def judge(template: dict, checks: tuple[Callable, ...]) -> tuple[int, list[str]]:
    """The number of combinations, and what is wrong, each with an example of when."""
    # Without a sound section of conditions there is nothing to combine.
    names = Names(template)
    static = [str(it) for it in existence.unresolved(names, None) if it.block in ("Conditions", "Rules")]
    if static:
        return 0, static
    found = combinations(template)
    if not found:
        return 0, ["Rules: no parameters keep them"]
    wrong: dict[str, Combination] = {}
    for combination in distinct(found, names.deciding()):
        for check in checks:
            for sentence in check(names, combination.holds):
                wrong.setdefault(sentence, combination)
    sentences = [f"{sentence} (with {combination})" for sentence, combination in wrong.items()]
    return len(found), unused_conditions(template, found) + sentences
