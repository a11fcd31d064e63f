"""Checks of who may scale a group, on an emulator of their own that enforces IAM: a node, with the keys of its metadata."""

import json
import urllib.request

from emulator.selfcheck.scaling import parts, ref
from emulator.selfcheck.world import Emulator, aws, check, refused, template, until

SCALE = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]


def _role(group: str) -> dict:
    """It may scale this group, where it is the cluster's, and look at all."""
    def statement(actions, resource, **more):
        return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}

    own = f"arn:aws:autoscaling:eu-west-1:*:autoScalingGroup:*:autoScalingGroupName/{group}*"
    tagged = {"Condition": {"StringEquals": {"autoscaling:ResourceTag/cluster": "demo"}}}
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [statement(SCALE, own, **tagged), statement(["autoscaling:Describe*"], "*")]}
    return {"Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": "scale", "PolicyDocument": policy}]}}


def _cluster(url: str, name: str, tag: str, **more) -> None:
    """A stack whose group has one instance."""
    resources = parts(name=name, desired=1, **more)
    profile = resources["Launch"]["Properties"]["LaunchTemplateData"].get("IamInstanceProfile")
    if profile:
        resources |= {"Role": _role("own"), "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [ref("Role")]}}}
    client = aws("cloudformation", url)
    client.create_stack(StackName=f"stack-{name}", TemplateBody=template(resources), Capabilities=["CAPABILITY_IAM"],
                        Tags=[{"Key": "cluster", "Value": tag}])
    until(lambda: client.describe_stacks(StackName=f"stack-{name}")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")
    until(lambda: _members(url, name))


def _members(url: str, name: str) -> list[str]:
    found = aws("autoscaling", url).describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["Instances"]
    return [i["InstanceId"] for i in found if i["LifecycleState"] == "InService"]


def _as_instance(url: str, instance: str):
    """Auto Scaling as this instance sees it."""
    def read(path):
        with urllib.request.urlopen(f"{url}/_clusterdrop/metadata/{instance}/latest/meta-data/iam/security-credentials/{path}") as answer:
            return answer.read().decode()

    keys = json.loads(read(read("")))
    return aws("autoscaling", url, aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
               aws_session_token=keys["Token"])


@check
def a_node_scales_its_own_group_and_no_other():
    guarded = Emulator(the_common_one=False, AUTH="true")
    try:
        url = guarded.url
        _cluster(url, "own", "demo", data={"IamInstanceProfile": {"Arn": {"Fn::GetAtt": ["Profile", "Arn"]}}})
        _cluster(url, "own-but-another-s", "other")
        _cluster(url, "another", "demo")
        node = _as_instance(url, *_members(url, "own"))
        node.set_desired_capacity(AutoScalingGroupName="own", DesiredCapacity=2)
        second = until(lambda: _members(url, "own")[1:])[0]
        node.terminate_instance_in_auto_scaling_group(InstanceId=second, ShouldDecrementDesiredCapacity=True)
        # By name, and by tag.
        for name in ("another", "own-but-another-s"):
            told = refused("AccessDenied", node.set_desired_capacity, AutoScalingGroupName=name, DesiredCapacity=2)
            assert "not authorized to perform: autoscaling:SetDesiredCapacity" in told, told
            refused("AccessDenied", node.terminate_instance_in_auto_scaling_group, InstanceId=_members(url, name)[0],
                    ShouldDecrementDesiredCapacity=True)
            assert len(_members(url, name)) == 1
        # Not above the bound, whatever it may, nor the bound itself.
        refused("ValidationError", node.set_desired_capacity, AutoScalingGroupName="own", DesiredCapacity=5)
        refused("AccessDenied", node.update_auto_scaling_group, AutoScalingGroupName="own", MaxSize=5)
        # Descriptions know no resource: it sees every group.
        assert len(node.describe_auto_scaling_groups()["AutoScalingGroups"]) == 3
        assert node.describe_scaling_activities(AutoScalingGroupName="another")["Activities"]
    finally:
        guarded.process.kill()
