"""Prints what of template.yaml LocalEmu can deploy, as JSON: roles, policies, buckets, queues, network.

Left out are the functions (it runs none without Docker), what names them, and the alarms. In their place the outputs give the
environment that the template sets for them. Nothing else is changed, but that "${!aws:username}", which LocalEmu's
Fn::Sub does not know, becomes a word of the same Fn::Sub.
"""

import json
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

LEFT_OUT = ("AWS::Serverless::", "AWS::Lambda::", "AWS::Events::", "AWS::CloudWatch::", "AWS::SNS::", "Custom::")


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short_form(loader: Loader, tag: str, node: yaml.Node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", _short_form)


def with_literals(value):
    """{"Fn::Sub": "a/${!b}"} as {"Fn::Sub": ["a/${Literal0}", {"Literal0": "${b}"}]}, everywhere."""
    if isinstance(value, list):
        return [with_literals(item) for item in value]
    if not isinstance(value, dict):
        return value
    text = value.get("Fn::Sub")
    if not isinstance(text, str) or "${!" not in text:
        return {key: with_literals(item) for key, item in value.items()}
    words = {}
    while "${!" in text:
        before, _, rest = text.partition("${!")
        literal, _, after = rest.partition("}")
        name = f"Literal{len(words)}"
        words[name] = f"${{{literal}}}"
        text = f"{before}${{{name}}}{after}"
    return {"Fn::Sub": [text, words]}


def foundation(template: dict) -> dict:
    resources = {
        name: resource for name, resource in template["Resources"].items() if not resource["Type"].startswith(LEFT_OUT)
    }
    for resource in resources.values():
        after = resource.pop("DependsOn", [])
        after = [name for name in ([after] if isinstance(after, str) else after) if name in resources]
        if after:
            resource["DependsOn"] = after
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    # Names of outputs are letters and digits: CLUSTERDROP_USER_BUCKET is told as ClusterdropUserBucket.
    outputs = {name.title().replace("_", ""): {"Value": value} for name, value in variables.items()}
    kept = {name: template[name] for name in ("AWSTemplateFormatVersion", "Parameters", "Rules", "Conditions")}
    return with_literals({**kept, "Resources": resources, "Outputs": outputs})


if __name__ == "__main__":
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    json.dump(foundation(yaml.load(text, Loader)), sys.stdout, indent=1)
