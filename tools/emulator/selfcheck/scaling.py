"""Checks of Auto Scaling groups that a template has made: capacity, members, tags, activities, and how a group goes."""

import json
import time

from emulator.selfcheck.world import (
    aws, check, control, create, ends, order, refused, stack, story, template, unique, until)

IMAGE = "ami-0c2023a1b2c3d4e5f"


def ref(name: str) -> dict:
    return {"Ref": name}


def parts(least=0, most=4, desired=0, name: str | None = None, spot: str | None = None, data: dict | None = None, **properties) -> dict:
    """A network, a launch template and a group of it."""
    market = {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": spot}}} if spot else {}
    given = {"ImageId": IMAGE, "InstanceType": "c5.large", **market, **(data or {})}
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
        "Net": {"Type": "AWS::EC2::Subnet", "Properties": {
            "VpcId": ref("Vpc"), "CidrBlock": "10.7.1.0/24", "AvailabilityZone": "eu-west-1b"}},
        "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": given}},
        "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {
            **({"AutoScalingGroupName": name} if name else {}),
            "MinSize": str(least), "MaxSize": str(most), "DesiredCapacity": str(desired),
            "VPCZoneIdentifier": [ref("Net")],
            "LaunchTemplate": {"LaunchTemplateId": ref("Launch"), "Version": {"Fn::GetAtt": ["Launch", "LatestVersionNumber"]}},
            **properties}},
    }


def made(name: str | None = None, **choices) -> tuple[str, str]:
    """The group's name and the stack's id, once the stack is complete."""
    name = name or unique("group")
    _, id_ = create(parts(name=name, **choices), f"stack-{name}", Tags=[{"Key": "USER", "Value": "alice"}])
    ends(id_, "CREATE_COMPLETE")
    return name, id_


def group(name: str) -> dict:
    return aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]


def members(name: str, state: str = "InService") -> list[str]:
    return [i["InstanceId"] for i in group(name)["Instances"] if i["LifecycleState"] == state]


def desire(name: str, capacity: int) -> None:
    aws("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=capacity)


def terminate(instance: str, decrement: bool) -> dict:
    return aws("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=instance, ShouldDecrementDesiredCapacity=decrement)["Activity"]


def activities(name: str, **more) -> list[dict]:
    return aws("autoscaling").describe_scaling_activities(AutoScalingGroupName=name, **more)["Activities"]


def machine(instance: str) -> dict:
    return aws("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def comes_to(name: str, count: int) -> list[str]:
    """Once so many are in service, and nothing else is on its way."""
    return until(lambda: (f := group(name)["Instances"]) is not None and len(f) == len(members(name)) == count and [
        i["InstanceId"] for i in f] or count == len(f) == 0 and ["none"])


@check
def a_group_follows_its_desired_capacity_within_its_bounds():
    name, _ = made(least=0, most=3)
    assert group(name)["Instances"] == [] and activities(name) == []
    desire(name, 3)
    assert group(name)["DesiredCapacity"] == 3
    comes_to(name, 3)
    told = refused("ValidationError", desire, name, 4)
    assert told == "New SetDesiredCapacity value 4 is above max value 3 for the AutoScalingGroup.", told
    assert group(name)["DesiredCapacity"] == 3 and len(comes_to(name, 3)) == 3
    desire(name, 0)
    comes_to(name, 0)
    assert "name not found" in refused("ValidationError", desire, f"{name}-other", 1)


@check
def no_capacity_is_below_the_least():
    name, _ = made(least=1, most=2, desired=1)
    told = refused("ValidationError", desire, name, 0)
    assert told == "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.", told
    only, = comes_to(name, 1)
    told = refused("ValidationError", terminate, only, True)
    assert told.startswith("Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate"), told
    assert comes_to(name, 1) == [only]


@check
def an_instance_ends_with_or_without_another_in_its_place():
    name, _ = made(desired=2)
    first, second = comes_to(name, 2)
    activity = terminate(first, True)
    assert activity["StatusCode"] == "InProgress" and f"instance {first} was taken out of service in response to a user request, " \
        "shrinking the capacity from 2 to 1." in activity["Cause"], activity
    assert group(name)["DesiredCapacity"] == 1 and comes_to(name, 1) == [second]
    assert machine(first)["State"]["Name"] == "terminated"
    terminate(second, False)
    third, = until(lambda: second not in members(name) and comes_to(name, 1))
    assert group(name)["DesiredCapacity"] == 1 and third not in (first, second)
    told = refused("ValidationError", terminate, first, True)
    assert told.startswith("Instance Id not found - No managed instance found for instance ID"), told
    refused("ValidationError", aws("autoscaling").terminate_instance_in_auto_scaling_group, InstanceId=third)


@check
def a_lowered_capacity_may_take_any_instance():
    name, _ = made(desired=2)
    first, second = comes_to(name, 2)
    desire(name, 1)
    assert comes_to(name, 1) == [second], "the oldest goes"
    assert "was selected for termination." in activities(name)[0]["Cause"]


@check
def an_instance_that_somebody_ends_is_replaced():
    name, _ = made(desired=1)
    first, = comes_to(name, 1)
    aws("ec2").terminate_instances(InstanceIds=[first])
    second, = until(lambda: first not in members(name) and comes_to(name, 1))
    assert second != first and any("EC2 health check" in activity["Cause"] for activity in activities(name))
    aws("autoscaling").set_instance_health(InstanceId=second, HealthStatus="Unhealthy")
    until(lambda: second not in members(name) and comes_to(name, 1))


@check
def instances_carry_tags_template_and_market():
    data = {"TagSpecifications": [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": "of-template"}, {"Key": kind, "Value": "yes"}]}
                                  for kind in ("instance", "volume")],
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}}]}
    tags = [{"Key": "Name", "Value": "node", "PropagateAtLaunch": True}, {"Key": "Secret", "Value": "x", "PropagateAtLaunch": False}]
    name, _ = made(desired=1, spot="0.03", data=data, Tags=tags)
    only, = comes_to(name, 1)
    found = machine(only)
    carried = {t["Key"]: t["Value"] for t in found["Tags"]}
    assert carried["Name"] == "node" and carried["instance"] == "yes" and carried["USER"] == "alice" and "Secret" not in carried, carried
    assert carried["aws:autoscaling:groupName"] == name and carried["aws:cloudformation:stack-name"] == f"stack-{name}", carried
    assert found["InstanceLifecycle"] == "spot" and found["Placement"]["AvailabilityZone"] == "eu-west-1b", found
    shown = group(name)["Instances"][0]
    assert shown["InstanceType"] == "c5.large" and shown["LaunchTemplate"]["Version"] == "1", shown
    disks = aws("ec2").describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [only]}])["Volumes"]
    assert [(d["Size"], d["VolumeType"], d["Encrypted"]) for d in disks] == [(20, "gp3", True)], disks
    assert {t["Key"]: t["Value"] for t in disks[0]["Tags"]} == {"Name": "of-template", "volume": "yes"}
    desire(name, 0)
    comes_to(name, 0)
    assert not aws("ec2").describe_volumes(Filters=[{"Name": "volume-id", "Values": [disks[0]["VolumeId"]]}])["Volumes"]


@check
def a_template_s_version_decides_what_is_launched():
    client, data = aws("ec2"), {"ImageId": IMAGE, "InstanceType": "c5.large"}
    held = client.create_launch_template(LaunchTemplateName=unique("lt"), LaunchTemplateData=data)["LaunchTemplate"]["LaunchTemplateId"]
    client.create_launch_template_version(LaunchTemplateId=held, LaunchTemplateData={**data, "InstanceType": "c5.xlarge"})
    for version, kind in (("1", "c5.large"), ("$Default", "c5.large"), ("2", "c5.xlarge"), ("$Latest", "c5.xlarge")):
        name, _ = made(desired=1, LaunchTemplate={"LaunchTemplateId": held, "Version": version})
        assert machine(comes_to(name, 1)[0])["InstanceType"] == kind, version
    name = unique("none")
    _, id_ = create(parts(name=name, LaunchTemplate={"LaunchTemplateId": held, "Version": "3"}))
    ends(id_, "ROLLBACK_COMPLETE")


@check
def a_mixed_policy_chooses_type_and_market():
    mixed = {"LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": ref("Launch"), "Version": "1"},
                                "Overrides": [{"InstanceType": "c6i.large"}, {"InstanceType": "c5.large"}]},
             "InstancesDistribution": {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 0, "SpotMaxPrice": "0.05"}}
    resources = parts(name=(name := unique("mixed")), desired=2, MixedInstancesPolicy=mixed)
    del resources["Group"]["Properties"]["LaunchTemplate"]
    ends(create(resources)[1], "CREATE_COMPLETE")
    found = [machine(instance) for instance in comes_to(name, 2)]
    assert {f["InstanceType"] for f in found} == {"c6i.large"} and [f.get("InstanceLifecycle") for f in found] == [None, "spot"], found
    assert group(name)["MixedInstancesPolicy"]["InstancesDistribution"]["SpotMaxPrice"] == "0.05"
    order(kind="launch", group=name, do="unfulfillable", times=1)
    desire(name, 3)
    told = until(lambda: [a["StatusMessage"] for a in activities(name) if a["StatusCode"] == "Failed"])[0]
    assert told == ("Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request "
                    "configuration. Please adjust your request and try again. Launching EC2 instance failed."), told


@check
def an_updated_group_keeps_the_capacity_that_was_set_within_its_new_bounds():
    name, id_ = made(most=4, desired=1)
    desire(name, 3)
    comes_to(name, 3)
    for choices, capacity in ((dict(most=5, desired=1), 3), (dict(most=2, desired=1), 2), (dict(most=5, desired=4), 4)):
        aws("cloudformation").update_stack(StackName=id_, TemplateBody=template(parts(name=name, **choices)),
                                           Tags=[{"Key": "USER", "Value": "alice"}])
        ends(id_, "UPDATE_COMPLETE")
        comes_to(name, capacity)
        assert (group(name)["MaxSize"], group(name)["DesiredCapacity"]) == (choices["most"], capacity), choices


@check
def what_cannot_be_a_group_is_refused_with_its_reason():
    taken, _ = made()
    for choices, says in (
            (dict(least=2, most=4, desired=1), "Desired capacity:1 must be between the specified min size:2 and max size:4"),
            (dict(name=taken), f"A group with the name {taken} already exists"),
            (dict(VPCZoneIdentifier=["subnet-none"]), "The subnet ID 'subnet-none' does not exist"),
            (dict(data={"IamInstanceProfile": {"Name": "nobody"}}), "You must use a valid fully-formed launch template. Value (nobody)")):
        _, id_ = create(parts(**choices))
        ends(id_, "ROLLBACK_COMPLETE")
        reasons = [e["ResourceStatusReason"] for e in story(id_) if e["ResourceStatus"] == "CREATE_FAILED"]
        assert any(says in reason for reason in reasons), reasons
    assert group(taken)["MaxSize"] == 4


@check
def a_stack_waits_for_the_least_size_and_tells_why_it_does_not_come():
    name = unique("least")
    order(kind="launch", group=name, do="quota")
    _, id_ = create(parts(name=name, least=1, desired=1))
    ends(id_, "ROLLBACK_COMPLETE")
    reason = next(e["ResourceStatusReason"] for e in story(id_) if e["ResourceStatus"] == "CREATE_FAILED")
    assert reason.startswith("Group did not stabilize. Last scaling activity: You have requested more vCPU capacity"), reason
    # With a least size of none it waits for nobody.
    name = unique("none")
    order(kind="launch", group=name, do="quota")
    ends(create(parts(name=name, least=0, desired=1))[1], "CREATE_COMPLETE")


@check
def a_group_takes_its_instances_with_it_and_waits_for_them():
    name, id_ = made(desired=2)
    held = comes_to(name, 2)
    refused("ResourceInUse", aws("autoscaling").delete_auto_scaling_group, AutoScalingGroupName=name)
    aws("cloudformation").delete_stack(StackName=id_)
    ends(id_, "DELETE_COMPLETE")
    assert {machine(instance)["State"]["Name"] for instance in held} == {"terminated"}
    assert not aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert refused("ValidationError", activities, name)
    gone = [a["Description"] for a in activities(name, IncludeDeletedGroups=True)]
    assert len([description for description in gone if description.startswith("Terminating")]) == 2, gone
    made(name=name)  # one of the same name begins with nothing
    assert activities(name) == [] and [a["Description"] for a in activities(name, IncludeDeletedGroups=True)] == gone


@check
def instances_protected_from_scale_in_hold_up_their_stack():
    name, id_ = made(desired=1, NewInstancesProtectedFromScaleIn=True)
    only, = comes_to(name, 1)
    aws("cloudformation").delete_stack(StackName=id_)
    assert "[Group]" in ends(id_, "DELETE_FAILED")["StackStatusReason"]
    assert members(name) == [only] and activities(name)[0]["StatusCode"] == "Cancelled"
    assert activities(name)[0]["Description"] == (
        "Could not scale to desired capacity because all remaining instances are protected from scale-in.")
    aws("autoscaling").set_instance_protection(AutoScalingGroupName=name, InstanceIds=[only], ProtectedFromScaleIn=False)
    aws("cloudformation").delete_stack(StackName=id_)
    ends(id_, "DELETE_COMPLETE")
    assert machine(only)["State"]["Name"] == "terminated"


@check
def a_protected_instance_ends_when_it_is_named():
    name, id_ = made(desired=1, NewInstancesProtectedFromScaleIn=True)
    only, = comes_to(name, 1)
    terminate(only, True)
    comes_to(name, 0)
    aws("cloudformation").delete_stack(StackName=id_)
    ends(id_, "DELETE_COMPLETE")


@check
def activities_are_told_newest_first_a_page_at_a_time():
    name, _ = made(most=5)
    for capacity in (1, 2, 3):
        desire(name, capacity)
        comes_to(name, capacity)
    everything = activities(name)
    assert [a["StartTime"] for a in everything] == sorted((a["StartTime"] for a in everything), reverse=True) and len(everything) == 3
    newest = everything[0]
    assert newest["StatusCode"] == "Successful" and newest["Progress"] == 100 and newest["EndTime"] and "StatusMessage" not in newest
    assert newest["Description"] == f"Launching a new EC2 instance: {group(name)['Instances'][-1]['InstanceId']}"
    assert "a user request explicitly set group desired capacity changing the desired capacity from 2 to 3." in newest["Cause"]
    assert newest["Cause"].endswith("an instance was started in response to a difference between desired and actual capacity, "
                                    "increasing the capacity from 2 to 3.")
    subnet = machine(members(name)[0])["SubnetId"]
    assert json.loads(newest["Details"]) == {"Subnet ID": subnet, "Availability Zone": "eu-west-1b"}
    client = aws("autoscaling")
    first = client.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=2)
    desire(name, 4)
    comes_to(name, 4)  # what is new moves no page
    second = client.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=2, NextToken=first["NextToken"])
    assert [a["ActivityId"] for page in (first, second) for a in page["Activities"]] == [a["ActivityId"] for a in everything]
    assert "NextToken" not in second
    assert activities(name, ActivityIds=[newest["ActivityId"]]) == [newest]
    refused("ValidationError", activities, name, MaxRecords=101)
    refused("InvalidNextToken", activities, name, NextToken="x")


@check
def groups_are_described_a_page_at_a_time():
    names = sorted(made(name=unique("page"))[0] for _ in range(2))
    first = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names, MaxRecords=1)
    second = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names, MaxRecords=1, NextToken=first["NextToken"])
    assert [page["AutoScalingGroups"][0]["AutoScalingGroupName"] for page in (first, second)] == names and "NextToken" not in second
    refused("ValidationError", aws("autoscaling").describe_auto_scaling_groups, Filters=[{"Name": "tag:USER", "Values": ["alice"]}])


@check
def a_hundred_nodes_come_and_go_by_one_call_each():
    name, _ = made(most=100)
    desire(name, 100)
    comes_to(name, 100)
    started = time.monotonic()
    assert len(group(name)["Instances"]) == 100 and time.monotonic() - started < 2
    desire(name, 0)
    comes_to(name, 0)


@check
def calls_to_a_group_can_be_throttled():
    name, id_ = made()
    order(kind="call", call="autoscaling.SetDesiredCapacity", text=name, error="Throttling", message="Rate exceeded", times=2)
    order(kind="call", call="autoscaling.Describe", text=name, error="Throttling", message="Rate exceeded", times=1)
    for _ in range(2):
        assert refused("Throttling", desire, name, 1) == "Rate exceeded"
    assert refused("Throttling", group, name) == "Rate exceeded" and group(name)["DesiredCapacity"] == 0
    desire(name, 1)
    comes_to(name, 1)
    assert control("GET", "calls?call=autoscaling.SetDesiredCapacity")["count"] >= 3 and stack(id_)
