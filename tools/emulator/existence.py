"""Names in a template that stand for nothing are refused before anything is made, and references in the metadata count.

MiniStack makes such a stack, with an empty text for what is not there, and orders resources by their properties alone.
"""

from cloudformation import order, refusal
from cloudformation.names import Names


def check(template: dict, conditions: dict | None) -> None:
    _insist(refusal.of_template(template, conditions))


def needed(template: dict, conditions: dict) -> dict[str, set[str]]:
    """Of each resource that a stack has, those that stand before it and go after it."""
    return order.needs(Names(template), conditions)


def sort(resources: dict, conditions: dict) -> list[str]:
    """In the order in which they can be made."""
    found = needed({"Resources": resources}, conditions)
    _insist(refusal.of_circle(order.circles(found)))
    return order.in_order(found)


def _insist(message: str | None) -> None:
    if message:
        raise ValueError(message)  # MiniStack's word for a ValidationError


def install() -> None:
    from ministack.services.cloudformation import changesets, engine, handlers, stacks

    plain_validate, plain_evaluate = engine.validate_template_support, engine._evaluate_conditions

    def validate(template, conditions, params=None):
        """CreateStack, UpdateStack and CreateChangeSet come here, and ValidateTemplate, which knows no parameters."""
        plain_validate(template, conditions, params)
        # What a transform makes of it that is still to come, nobody knows yet.
        if not template.get("Transform"):
            check(template, conditions if params is not None else None)

    def evaluate(template, params):
        _insist(refusal.of_conditions(template))
        return plain_evaluate(template, params)

    for module in (engine, handlers, changesets):
        module.validate_template_support = validate
    for module in (engine, handlers, changesets, stacks):
        module._evaluate_conditions = evaluate
    for module in (engine, changesets, stacks):
        module._topological_sort = sort
