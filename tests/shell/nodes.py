"""Writes the scripts that the nodes of a cluster start with, one file for each kind of node, as they arrive there."""

import re
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

template = yaml_parse(Path(sys.argv[1]).read_text())
folder = Path(sys.argv[2])


def said(part):
    """One line or block of a script. Values are the system's words inside single quotes; here their names stand for them."""
    if isinstance(part, str):
        return part
    if "Fn::Sub" in part:
        text = part["Fn::Sub"]
        return re.sub(r"\$\{(.*?)\}", r"\1", text[0] if isinstance(text, list) else text)
    mapping, first, second = part["Fn::FindInMap"]
    return template["Mappings"][mapping][first][second]


for name, resource in template["Resources"].items():
    properties = resource.get("Properties", {})
    script = properties.get("UserData") or properties.get("LaunchTemplateData", {}).get("UserData")
    if script:
        separator, parts = script["Fn::Base64"]["Fn::Join"]
        (folder / f"{name}.sh").write_text(separator.join(said(part) for part in parts))
