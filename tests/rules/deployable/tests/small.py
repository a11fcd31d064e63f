"""Small templates, and what is wrong with them."""

from deployable.check import TEMPLATE_CHECKS, judge


def ref(name):
    return {"Ref": name}


def when(condition, yes, no=""):
    return {"Fn::If": [condition, yes, no]}


def equals(parameter, value):
    return {"Fn::Equals": [ref(parameter), value]}


def resource(condition=None, **more):
    return {"Type": "AWS::SNS::Topic", **({"Condition": condition} if condition else {}), **more}


def template(resources: dict, **sections) -> dict:
    """With a condition `Wide` that holds where Mode is wide."""
    return {"Parameters": {"Mode": {"Type": "String", "AllowedValues": ["narrow", "wide"]}, **sections.pop("Parameters", {})},
            "Conditions": {"Wide": equals("Mode", "wide"), **sections.pop("Conditions", {})},
            "Resources": resources, **sections}


def wrong(*args, **sections) -> list[str]:
    return judge(template(*args, **sections), TEMPLATE_CHECKS)[1]
