"""Auto Scaling groups as IAM knows them: by their ARN and their tags.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
"""

from moto.autoscaling.models import autoscaling_backends

# Of what is judged by its group, the calls that name an instance.
BY_INSTANCE = ("TerminateInstanceInAutoScalingGroup", "SetInstanceHealth")
BY_NAME = ("CreateAutoScalingGroup", "DeleteAutoScalingGroup", "SetDesiredCapacity", "SetInstanceProtection", "UpdateAutoScalingGroup")


def _groups(region: str, account: str) -> dict:
    return autoscaling_backends[account][region].autoscaling_groups


def arn(params: dict, region: str, account: str) -> str:
    """Of the group that a call names, or that its instance is of. No group is "*" in the place of the id."""
    name = params.get("AutoScalingGroupName") or next(
        (known for known, group in _groups(region, account).items()
         if any(state.instance.id == params.get("InstanceId") for state in group.instance_states)), "*")
    group = _groups(region, account).get(name)
    return group.arn if group else f"arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{name}"


def tags(resource: str, region: str, account: str) -> dict:
    group = _groups(region, account).get(resource.rpartition("autoScalingGroupName/")[2])
    return {tag["Key"]: tag["Value"] for tag in group.tags} if group else {}
