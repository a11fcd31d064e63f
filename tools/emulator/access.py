"""What IAM asks of calls to Auto Scaling, where it is enforced (AUTH=true): the group's own ARN and its tags.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html: SetDesiredCapacity and
TerminateInstanceInAutoScalingGroup are judged by the group, the descriptions by no resource. MiniStack knows groups by their names
only, finds no group for an instance, and no tags.
"""


def _group_of(params: dict) -> dict | None:
    from emulator.scaling import groups

    def one(key):
        value = params.get(key, "")
        return (value[0] if value else "") if isinstance(value, list) else value

    named = groups.all_groups().get(one("AutoScalingGroupName"))
    found = groups.member(one("InstanceId")) if one("InstanceId") else None
    return named or (found[0] if found else None)


def _keys(params: dict) -> dict:
    group = _group_of(params)
    return {f"{prefix}:ResourceTag/{tag['Key']}": tag["Value"] for tag in (group or {"Tags": []})["Tags"]
            for prefix in ("autoscaling", "aws")}


def _is_description(params: dict) -> bool:
    action = params.get("Action", "")
    return (action[0] if isinstance(action, list) else action).startswith("Describe")


def install() -> None:
    from ministack.core import iam_actions

    plain_arn, plain_context = iam_actions.extract_resource_arn, iam_actions.request_tag_context

    def arn(service, method, path, headers, body, query_params, region, account_id):
        if service == "autoscaling" and _is_description(query_params):
            return "*"
        group = _group_of(query_params) if service == "autoscaling" else None
        return group["AutoScalingGroupARN"] if group else plain_arn(
            service, method, path, headers, body, query_params, region, account_id)

    def context(service, iam_action, body, query_params):
        found = plain_context(service, iam_action, body, query_params)
        of_group = service == "autoscaling" and not _is_description(query_params)
        return {**found, **_keys(query_params)} if of_group else found

    iam_actions.extract_resource_arn, iam_actions.request_tag_context = arn, context
