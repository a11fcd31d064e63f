"""What holds for given parameters: the conditions of a template, and whether its rules allow them at all."""

import json

from deployable.values import text


class Undecided(Exception):
    """A comparison of what nobody here can compute. It may come out either way."""

    def __init__(self, expression):
        super().__init__()
        self.key = json.dumps(expression, sort_keys=True)


class Given:
    """One choice of values, and of how the undecided comes out."""

    def __init__(self, template: dict, values: dict, decided: dict[str, bool]):
        self.template, self.values, self.decided = template, values, decided
        self.conditions = template.get("Conditions") or {}

    def holds(self) -> dict[str, bool]:
        return {name: self._truth(expression) for name, expression in self.conditions.items()}

    def allowed(self) -> bool:
        """By the Rules section, which CloudFormation asks before anything else."""
        return all(self._kept(rule) for rule in (self.template.get("Rules") or {}).values())

    def _kept(self, rule: dict) -> bool:
        if "RuleCondition" in rule and not self._truth(rule["RuleCondition"]):
            return True
        return all(self._truth(assertion["Assert"]) for assertion in rule["Assertions"])

    def _truth(self, expression) -> bool:
        function, arguments = next(iter(expression.items())) if isinstance(expression, dict) and len(expression) == 1 else ("", None)
        if function == "Fn::And":
            return all([self._truth(each) for each in arguments])
        if function == "Fn::Or":
            return any([self._truth(each) for each in arguments])
        if function == "Fn::Not":
            return not self._truth(arguments[0])
        if function == "Condition" and arguments in self.conditions:
            return self._truth(self.conditions[arguments])
        return self._compared(function, arguments, expression)

    def _compared(self, function: str, arguments, expression) -> bool:
        if function == "Fn::Equals":
            left, right = (self._value(each) for each in arguments)
            if left is not None and right is not None:
                return left == right
        if function == "Fn::Contains" and isinstance(arguments[0], list):
            members, wanted = [self._value(each) for each in arguments[0]], self._value(arguments[1])
            if wanted is not None and None not in members:
                return wanted in members
        undecided = Undecided(expression)
        if undecided.key in self.decided:
            return self.decided[undecided.key]
        raise undecided

    def _value(self, node):
        """None is what cannot be computed here."""
        if isinstance(node, (str, int, float, bool)):
            return text(node)
        if isinstance(node, dict) and isinstance(node.get("Ref"), str):
            return self.values.get(node["Ref"])
        return None
