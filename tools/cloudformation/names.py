"""A template as names: what it has, and what each part of it refers to. Read once, and asked for each combination of conditions."""

import itertools
from collections.abc import Mapping

from cloudformation.references import Reference, of_condition, of_output, of_resource, references

# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
PSEUDO_PARAMETERS = frozenset({
    "AWS::AccountId", "AWS::NotificationARNs", "AWS::NoValue", "AWS::Partition", "AWS::Region", "AWS::StackId",
    "AWS::StackName", "AWS::URLSuffix"})


class Names:
    """`holds` tells of each condition whether it does; None where nothing is known of any."""

    def __init__(self, template: dict):
        resources, outputs = _maps(template, "Resources"), _maps(template, "Outputs")
        self.values = set(template.get("Parameters") or {}) | PSEUDO_PARAMETERS
        self.conditions = set(template.get("Conditions") or {})
        self.condition_of = {name: it.get("Condition") for name, it in resources.items()}
        self._output_condition_of = {name: it.get("Condition") for name, it in outputs.items()}
        self._in_conditions = [r for name, it in (template.get("Conditions") or {}).items()
                               for r in of_condition(it, f"Conditions.{name}")]
        self._in_rules = list(references(template.get("Rules") or {}, "Rules"))
        self._of_resource = {name: list(of_resource(it, f"Resources.{name}")) for name, it in resources.items()}
        self._of_output = {name: list(of_output(it, f"Outputs.{name}")) for name, it in outputs.items()}

    def deciding(self) -> set[str]:
        """The conditions on which it hangs what exists, and which names are read that may not exist."""
        found = {c for c in (*self.condition_of.values(), *self._output_condition_of.values()) if isinstance(c, str)}
        for reference in itertools.chain(*self._of_resource.values(), *self._of_output.values()):
            if reference.name not in (self.conditions if reference.to_condition else self.values) or reference.attribute:
                found.update(condition for condition, _ in reference.branches)
        return found & self.conditions

    def living(self, holds: Mapping[str, bool] | None) -> set[str]:
        """The resources that exist. Without `holds`, all that can."""
        return {name for name, condition in self.condition_of.items() if _is_there(condition, holds)}

    def of_resource(self, name: str, holds: Mapping[str, bool] | None) -> list[Reference]:
        return [reference for reference in self._of_resource[name] if reference.counts(holds)]

    def by_block(self, holds: Mapping[str, bool] | None) -> dict[str, list[Reference]]:
        """What counts, in the sections of a template that refer to anything."""
        resources = [r for name, condition in self.condition_of.items() if _is_there(condition, holds)
                     for r in self.of_resource(name, holds)]
        outputs = [r for name, condition in self._output_condition_of.items() if _is_there(condition, holds)
                   for r in self._of_output[name] if r.counts(holds)]
        return {"Conditions": self._in_conditions, "Rules": self._in_rules, "Resources": resources, "Outputs": outputs}


def _maps(template: dict, section: str) -> dict[str, dict]:
    return {name: it for name, it in (template.get(section) or {}).items() if isinstance(it, dict)}


def _is_there(condition, holds) -> bool:
    return holds is None or not isinstance(condition, str) or holds.get(condition, True)
