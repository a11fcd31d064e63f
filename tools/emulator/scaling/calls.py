"""Auto Scaling's API, as far as a cluster and its tests call it; the rest is MiniStack's."""

from emulator.scaling import activities, groups
from emulator.scaling.activities import Refused

GROUPS_MAX = 100  # of a page; 50 where nothing is asked (API reference)


def _group(params: dict) -> dict:
    from ministack.services import autoscaling

    name = autoscaling._p(params, "AutoScalingGroupName")
    found = groups.all_groups().get(name)
    if found is None:
        raise activities.unknown(name)
    return found


def _managed(instance: str) -> tuple[dict, dict]:
    found = groups.member(instance)
    if found is None:
        raise Refused("ValidationError", f"Instance Id not found - No managed instance found for instance ID: {instance}")
    return found


def _capacity(params: dict) -> int:
    from ministack.services import autoscaling

    text = autoscaling._p(params, "DesiredCapacity")
    if not text.isdigit():
        raise Refused("ValidationError", f"1 validation error detected: Value '{text}' at 'desiredCapacity' failed to satisfy "
                      "constraint: Member must have value greater than or equal to 0")
    return int(text)


def _set_desired_capacity(params: dict) -> str:
    group, wanted = _group(params), _capacity(params)
    if wanted > group["MaxSize"]:  # kubernetes/autoscaler#943
        raise Refused("ValidationError", f"New SetDesiredCapacity value {wanted} is above max value {group['MaxSize']} for the "
                      "AutoScalingGroup.")
    if wanted < group["MinSize"]:
        raise Refused("ValidationError", f"New SetDesiredCapacity value {wanted} is below min value {group['MinSize']} for the "
                      "AutoScalingGroup.")
    groups.desire(group, wanted, "a user request explicitly set group desired capacity")
    return ""


def _terminate(params: dict) -> str:
    from ministack.services import autoscaling

    instance, fewer = autoscaling._p(params, "InstanceId"), autoscaling._p(params, "ShouldDecrementDesiredCapacity")
    if fewer not in ("true", "false"):  # buildkite/elastic-ci-stack-for-aws#1888
        raise Refused("ValidationError", "1 validation error detected: Value null at 'shouldDecrementDesiredCapacity' failed to satisfy "
                      "constraint: Member must not be null")
    group, found = _managed(instance)
    cause = f"instance {instance} was taken out of service in response to a user request"
    if fewer == "true":
        if group["DesiredCapacity"] <= group["MinSize"]:  # aws/aws-cli#47
            raise Refused("ValidationError", (
                f"Currently, desiredSize equals minSize ({group['MinSize']}). Terminating instance without replacement will violate "
                "group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."))
        # Also of one that is ending already: who calls twice has two fewer. What AWS does there is not known; this is the worse.
        group["DesiredCapacity"] -= 1
        cause += f", shrinking the capacity from {group['DesiredCapacity'] + 1} to {group['DesiredCapacity']}"
    return f"<Activity>{autoscaling._member_xml(groups.terminate(group, found, cause + '.'))}</Activity>"


def _describe_groups(params: dict) -> str:
    from ministack.services import autoscaling

    if any(key.startswith("Filters.") for key in params):  # all groups in place of some would be worse
        raise Refused("ValidationError", "the emulator knows no Filters of groups: name them")
    names = autoscaling._parse_member_list(params, "AutoScalingGroupNames")
    found = [group for name, group in sorted(groups.all_groups().items()) if not names or name in names]
    taken, token = activities.page(found, params, 50, GROUPS_MAX, lambda group: group["AutoScalingGroupName"])
    return f"<AutoScalingGroups>{autoscaling._member_xml([_shown(group) for group in taken])}</AutoScalingGroups>{_next(token)}"


def _shown(record: dict) -> dict:
    """What AWS tells: neither our own notes nor what is empty."""
    shown = {key: value for key, value in record.items() if not key.startswith("_") and value not in ("", None, {})}
    shown.pop("InstanceRefreshes", None)
    if "Instances" in shown:
        shown["Instances"] = [_shown(found) for found in shown["Instances"]]
    return shown


def _next(token: str | None) -> str:
    return f"<NextToken>{token}</NextToken>" if token else ""


def _describe_instances(params: dict) -> str:
    from ministack.services import autoscaling

    ids = autoscaling._parse_member_list(params, "InstanceIds")
    found = [{**_shown(found), "AutoScalingGroupName": group["AutoScalingGroupName"]} for group in groups.all_groups().values()
             for found in group["Instances"] if not ids or found["InstanceId"] in ids]
    taken, token = activities.page(found, params, 50, 50, lambda instance: instance["InstanceId"])
    return f"<AutoScalingInstances>{autoscaling._member_xml(taken)}</AutoScalingInstances>{_next(token)}"


def _describe_activities(params: dict) -> str:
    from ministack.services import autoscaling

    taken, token = activities.describe(params, dict(groups.all_groups().items()))
    return f"<Activities>{autoscaling._member_xml(taken)}</Activities>{_next(token)}"


def _delete(params: dict) -> str:
    from ministack.services import autoscaling

    group = _group(params)
    if group["Instances"] and autoscaling._p(params, "ForceDelete") != "true":  # ansible/ansible#8503
        raise Refused("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance "
                      "request(s) still in the group.")
    for found in groups.alive(group):
        groups.terminate(group, found, f"instance {found['InstanceId']} was taken out of service in response to a user request.")
    autoscaling._delete_asg(params)
    return ""


def _protect(params: dict) -> str:
    from ministack.services import autoscaling

    for instance in autoscaling._parse_member_list(params, "InstanceIds"):
        group, found = _managed(instance)
        found["ProtectedFromScaleIn"] = autoscaling._p(params, "ProtectedFromScaleIn") == "true"
        groups.soon(group["AutoScalingGroupName"])
    return ""


def _set_health(params: dict) -> str:
    from ministack.services import autoscaling

    group, found = _managed(autoscaling._p(params, "InstanceId"))
    found["HealthStatus"] = autoscaling._p(params, "HealthStatus")
    if found["HealthStatus"] == "Unhealthy" and found["LifecycleState"] in groups.ALIVE:
        groups.terminate(group, found, "an instance was taken out of service in response to a user health-check.")
    return ""


def _answered(action: str, act):
    """`act` gives the inside of the result."""

    def handle(params):
        from ministack.services import autoscaling

        try:
            result = act(params)
        except Refused as refused:
            return autoscaling._error(refused.code, str(refused))
        return autoscaling._xml(200, f"{action}Response", f"<{action}Result>{result}</{action}Result>")

    return handle


def install() -> None:
    from ministack.services import autoscaling

    for action, act in {
        "SetDesiredCapacity": _set_desired_capacity, "TerminateInstanceInAutoScalingGroup": _terminate,
        "DescribeAutoScalingGroups": _describe_groups, "DescribeAutoScalingInstances": _describe_instances,
        "DescribeScalingActivities": _describe_activities, "DeleteAutoScalingGroup": _delete, "SetInstanceProtection": _protect,
        "SetInstanceHealth": _set_health,
    }.items():
        autoscaling._ACTION_MAP[action] = _answered(action, act)
