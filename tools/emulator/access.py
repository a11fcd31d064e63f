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


def install() -> None:
    from ministack.core import iam_actions
    from ministack.services import tagging

    plain_arn, plain_tags = iam_actions.extract_resource_arn, tagging.resource_tags

    def arn(service, method, path, headers, body, query_params, region, account_id):
        if service != "autoscaling":
            return plain_arn(service, method, path, headers, body, query_params, region, account_id)
        action = query_params.get("Action", "")
        if (action[0] if isinstance(action, list) else action).startswith("Describe"):
            return "*"
        group = _group_of(query_params)
        return group["AutoScalingGroupARN"] if group else plain_arn(
            service, method, path, headers, body, query_params, region, account_id)

    def tags(resource):
        from emulator.scaling import groups

        if ":autoScalingGroup:" not in resource:
            return plain_tags(resource)
        group = groups.all_groups().get(resource.rpartition("autoScalingGroupName/")[2], {"Tags": []})
        return {tag["Key"]: tag["Value"] for tag in group["Tags"]}

    iam_actions.extract_resource_arn, tagging.resource_tags = arn, tags
