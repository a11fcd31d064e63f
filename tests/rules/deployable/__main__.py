"""`python -m deployable DEPLOYMENT CLUSTER`: the translated template.yaml, and templates/cluster.yaml. Exit 1 if one is wrong."""

import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

from deployable.check import DEPLOYMENT_CHECKS, TEMPLATE_CHECKS, judge


def main() -> int:
    bad = False
    for path, checks in zip(sys.argv[1:], (DEPLOYMENT_CHECKS, TEMPLATE_CHECKS), strict=True):
        count, wrong = judge(yaml_parse(Path(path).read_text()), checks)
        print(f"  {path}: {count} combinations of its conditions, {len(wrong) or 'nothing'} wrong")
        for sentence in wrong:
            print(f"    {sentence}")
        bad = bad or bool(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
