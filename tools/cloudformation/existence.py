"""Which names of a template stand for nothing."""

from collections.abc import Mapping
from typing import NamedTuple

from cloudformation.names import Names
from cloudformation.references import Reference


class Unresolved(NamedTuple):
    block: str  # of the template: Conditions, Rules, Resources or Outputs
    reference: Reference
    why: str

    def __str__(self) -> str:
        what = self.reference
        full = f"{what.name}.{what.attribute}" if what.attribute else what.name
        return f"{what.place}: {what.how} names {full}, {self.why}"


def unresolved(names: Names, holds: Mapping[str, bool] | None) -> list[Unresolved]:
    """All of them. Without `holds`, only what stands for nothing whatever holds."""
    living = names.living(holds)
    return [Unresolved(block, reference, why)
            for block, found in names.by_block(holds).items() for reference in found
            if (why := _why_not(names, living, block, reference))]


def _why_not(names: Names, living: set[str], block: str, reference: Reference) -> str | None:
    name, in_resources = reference.name, block in ("Resources", "Outputs")
    if reference.to_condition:
        return None if name in names.conditions else "which is no condition"
    is_value = reference.how == "Ref" or (reference.how == "Fn::Sub" and reference.attribute is None)
    if (is_value and name in names.values) or (in_resources and name in living):
        return None
    if name in names.values:
        return "which is a parameter"
    if name not in names.condition_of:
        return "which is nowhere in the template"
    if not in_resources:
        return "which is a resource: only parameters can be named here"
    return f"which does not exist, because {names.condition_of[name]} does not hold"
