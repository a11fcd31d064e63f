"""What AWS answers to a template whose names do not resolve: the message of a ValidationError, or None.

Sources of the sentences: Resources, serverless#4535; Outputs, aws-api-gateway-developer-portal#216; Conditions,
cfn-lint#99; the circle, serverless-application-model#1044; DependsOn, cloudonaut.io, "Optional DependsOn with
CloudFormation". That for a condition that is not there was seen with Fn::If only; Rules' is taken after Resources'.
"""

from collections.abc import Mapping

from cloudformation import existence, order
from cloudformation.names import Names


def of_template(template: dict, holds: Mapping[str, bool] | None) -> str | None:
    if not all(_is_plain(it) for it in (template.get("Resources") or {}).values()):
        return "Template format error: Every DependsOn value must be a string."
    names = Names(template)
    found = existence.unresolved(names, holds)
    for block in ("Conditions", "Rules", "Resources", "Outputs"):
        message = _of_block(block, [it for it in found if it.block == block])
        if message:
            return message
    return of_circle(order.circles(order.needs(names, holds)))


def of_conditions(template: dict) -> str | None:
    """Of that section alone: before it is sound, nobody can say what holds."""
    names = Names({section: template.get(section) for section in ("Parameters", "Conditions")})
    return _of_block("Conditions", existence.unresolved(names, None))


def of_circle(turning: list[str]) -> str | None:
    return f"Circular dependency between resources: [{', '.join(turning)}]" if turning else None


def _of_block(block: str, found: list[existence.Unresolved]) -> str | None:
    references = [it.reference for it in found]
    conditions = [reference for reference in references if reference.to_condition]
    if conditions:
        where = "Fn::If" if conditions[0].how == "Fn::If" else f"the {block} block of the template"
        return f"Template error: unresolved condition dependency {conditions[0].name} in {where}"
    if not references:
        return None
    missing = ", ".join(dict.fromkeys(reference.name for reference in references))
    if block == "Conditions":
        return (f"Template format error: Unresolved dependencies [{missing}]. Cannot reference resources in the "
                "Conditions block of the template")
    return f"Template format error: Unresolved resource dependencies [{missing}] in the {block} block of the template"


def _is_plain(definition) -> bool:
    needed = definition.get("DependsOn", []) if isinstance(definition, dict) else []
    return all(isinstance(name, str) for name in (needed if isinstance(needed, list) else [needed]))
