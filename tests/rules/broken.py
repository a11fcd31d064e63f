"""`python broken.py DEPLOYMENT CLUSTER FOLDER`: writes cfn-guard's tests. Their inputs are our own templates, each with a change.

DEPLOYMENT is template.yaml as SAM translates it, CLUSTER is templates/cluster.yaml. Each <folder>/<name>.guard has its cases in
<folder>/<name>.broken.yaml, and gets its tests in FOLDER/<folder>/<name>.json. A case has a name and

    fails   the rule or rules that the change breaks; or `passes`, for an alternative that a rule allows and our templates do not use
    in      the template that it changes: deployment or cluster. Without it, the one of the folder's name; in `both`, deployment
    set     pointers to what exists, each with its new value
    remove  pointers to what is removed
    add     pointers with what is added: to a map at a new key, to a list at "-"
    at      a pointer that all pointers of the case begin with

Pointers are JSON Pointers (RFC 6901). In a list, a step such as Sid=WriteAnswers means the one item with this value, so that a case stays
about the same statement when others are put before it. The changes are made in the order in which they are written.

Exit 1 where a case would prove nothing: what a pointer names does not exist, or the rule does not (cfn-guard ignores expectations of
unknown rules).
"""

import copy
import json
import re
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

RULES = Path(__file__).parent
FOLDERS = {"both": "deployment", "deployment": "deployment", "cluster": "cluster"}
CHANGES = {"set", "remove", "add"}


class Wrong(Exception):
    """Why a case would prove nothing."""


def main() -> int:
    deployment, cluster, target = map(Path, sys.argv[1:])
    templates = {"deployment": json.loads(deployment.read_text()), "cluster": yaml_parse(cluster.read_text())}
    wrong: list[str] = []
    for guard in sorted(path for folder in FOLDERS for path in (RULES / folder).glob("*.guard")):
        cases = yaml_parse(guard.with_suffix(".broken.yaml").read_text())
        path = target / guard.parent.name / f"{guard.stem}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(tests(guard, cases, templates, wrong)))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


def tests(guard: Path, cases: list[dict], templates: dict[str, dict], wrong: list[str]) -> list[dict]:
    """The cases of a file of rules, after the templates as they are: only a rule that passes there fails because of the change."""
    rules = set(re.findall(r"^rule (\w+)", guard.read_text(), re.MULTILINE))
    unchanged: dict[str, dict[str, str]] = {}
    found = []
    for case in cases:
        name = case.get("in", FOLDERS[guard.parent.name])
        try:
            outcomes = expected(case, rules)
            if name not in templates:
                raise Wrong(f"there is no template {name}")
            found.append(test(case["name"], changed(templates[name], case), outcomes))
            unchanged.setdefault(name, {}).update(dict.fromkeys(outcomes, "PASS"))
        except Wrong as error:
            wrong.append(f"{guard.parent.name}/{guard.stem}, {case['name']}: {error}")
    return [test(f"the {name} template without a change", templates[name], outcomes) for name, outcomes in unchanged.items()] + found


def test(name: str, template: dict, rules: dict[str, str]) -> dict:
    return {"name": name, "input": template, "expectations": {"rules": rules}}


def expected(case: dict, rules: set[str]) -> dict[str, str]:
    """What comes out of each rule of a case."""
    outcomes = {rule: end for key, end in (("fails", "FAIL"), ("passes", "PASS")) for rule in listed(case.get(key, []))}
    if unknown := outcomes.keys() - rules or case.keys() - {"name", "fails", "passes", "in", "at"} - CHANGES:
        raise Wrong(f"there is no {', '.join(sorted(unknown))}")
    if not outcomes:
        raise Wrong("it names no rule")
    return outcomes


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def changed(template: dict, case: dict) -> dict:
    result = copy.deepcopy(template)
    for change in (key for key in case if key in CHANGES):
        values = dict.fromkeys(case[change]) if change == "remove" else case[change]
        for pointer, value in values.items():
            apply(result, change, case.get("at", "") + pointer, copy.deepcopy(value))
    return result


def apply(template: dict, change: str, pointer: str, value) -> None:
    *path, last = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    node = template
    for step in path:
        node = node[key(node, step, pointer)]
    if change == "set":
        node[key(node, last, pointer)] = value
    elif change == "remove":
        del node[key(node, last, pointer)]
    elif isinstance(node, list) and last == "-":
        node.append(value)
    elif isinstance(node, dict) and last not in node:
        node[last] = value
    else:
        raise Wrong(f"nothing can be added at {pointer}: it exists, or its parent is no map")


def key(node, step: str, pointer: str) -> str | int:
    """The key, or the index, that a step of a pointer means."""
    if isinstance(node, dict) and step in node:
        return step
    if isinstance(node, list):
        name, _, value = step.partition("=")
        indices = [index for index, item in enumerate(node) if step == str(index) or isinstance(item, dict) and item.get(name) == value]
        if len(indices) == 1:
            return indices[0]
    raise Wrong(f"{pointer} does not exist at {step}")


if __name__ == "__main__":
    sys.exit(main())
