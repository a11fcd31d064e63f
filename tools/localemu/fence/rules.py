"""How conditions and variables are judged, where LocalEmu's evaluator judges otherwise than AWS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import re

from localemu.services.iam_enforcement import condition_evaluator, evaluator, resource_matcher

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


class Unresolved(Exception):
    """A variable that the call has no value for."""


def lookup(key: str, context: dict):
    """Condition keys are not case-sensitive. An empty list counts as absent."""
    for name, value in context.items():
        if name.lower() == key.lower():
            return None if value == [] else value
    return None


def substitute(text: str, context: dict | None) -> str:
    def value(match):
        found = lookup(match.group(1), context or {})
        if found is None:
            raise Unresolved(match.group(1))
        return str(found)

    return _VARIABLE.sub(value, text)


def resource_pattern(pattern: str, context: dict | None) -> str:
    """A pattern with a variable that has no value matches nothing; LocalEmu takes the value as empty."""
    try:
        return substitute(pattern, context)
    except Unresolved:
        return "nothing"


def conditions_hold(statement: dict, context: dict) -> bool:
    blocks = (statement.get("Condition") or {}).items()
    return all(_holds(operator, key, expected, context) for operator, keys in blocks for key, expected in keys.items())


def _holds(operator: str, key: str, expected, context: dict) -> bool:
    every, some = operator.startswith("ForAllValues:"), operator.startswith("ForAnyValue:")
    name = operator.rpartition(":")[2]
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    expected = [str(e) for e in (expected if isinstance(expected, list) else [expected])]
    actual = lookup(key, context)
    if name == "Null":
        return (actual is None) == (expected[0].lower() == "true")
    negated = "Not" in name
    if actual is None:
        return if_exists or every or (negated and not some)
    values = actual if isinstance(actual, list) else [actual]
    # Of a negated operator's values none may match; LocalEmu is content where one of them does not.
    judged = [_matches_one(name.replace("Not", ""), value, expected, context) != negated for value in values]
    return all(judged) if every or (negated and not some) else any(judged)


def _matches_one(name: str, value, expected: list[str], context: dict) -> bool:
    # ArnEquals knows wildcards: it is ArnLike by another name.
    compare = condition_evaluator._OPERATORS["ArnLike" if name == "ArnEquals" else name]
    for pattern in expected:
        try:
            if compare(value, substitute(pattern, context)):
                return True
        except (Unresolved, ValueError, TypeError):
            continue
    return False


def install() -> None:
    evaluator.matches_conditions = conditions_hold
    resource_matcher._substitute_policy_variables = resource_pattern
