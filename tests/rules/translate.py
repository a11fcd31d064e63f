"""Prints template.yaml as CloudFormation gets it: with what SAM makes of it. The rules are about this, not about SAM's short hand."""

import json
import sys
from pathlib import Path

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse


class NoManagedPolicies:
    """SAM asks AWS for the managed policies by name. No role of ours has one (a rule says so), so there are none to know."""

    def load(self):
        return {}


def translated(path: Path) -> dict:
    template = yaml_parse(path.read_text())
    return yaml_parse(SamTemplateValidator(template, NoManagedPolicies(), region="us-east-1").get_translated_template_if_valid())


if __name__ == "__main__":
    json.dump(translated(Path(sys.argv[1])), sys.stdout, indent=2)
