"""Checks of templates/cluster.yaml: made and removed with every combination of its choices, and nothing is left behind."""

import base64
import concurrent.futures
import functools
import itertools
import json
import re
from pathlib import Path

from emulator.selfcheck.requests import given
from emulator.selfcheck.scaling import ref
from emulator.selfcheck.world import TOOLS, aws, check, control, create, ends, unique

TEMPLATE = Path(TOOLS).parent / "templates" / "cluster.yaml"
ZONE = "eu-west-1b"
MOST, ON_DEMAND_MOST = 8, 3

# What decides which resources there are, each with every side that it has.
MARKETS = ({}, {"ComputeOnDemandMaxNodes": "0"}, {"ComputeOnDemandMaxNodes": str(ON_DEMAND_MOST)}, {"ComputeSpotPrice": "0"})
PLACES = ({"ComputePlacement": "none"}, {"ComputePlacement": "cluster"})
HOMES = ("none", "goes", "stays", "again")
APPS = (False, True)
SITES = ("", "efs", "nfs")
# What only changes values takes turns.
TURNS = (
    {"AutoscalingPolicy": "disabled"},
    {"MasterInstanceType": "large-c4.8xlarge", "ComputeInstanceType": "gpu-1GPU-8C-61GB.medium-p3.2xlarge"},
    {"LoginOwnImage": "ami-0c2023a1b2c3d4e5f", "ComputeOwnImage": "ami-0c2023a1b2c3d4e5f"},
    {"ComputeInstanceTypeOther": "c7g.large-2C-4GB", "ComputeImage": "/aws/service/debian/release/13/latest/arm64", "NodeLogs": "home/x/y.logs/"},
    {"MasterSystemVolumeType": "magnetic.standard", "ComputeSystemVolumeType": "general-purpose-ssd.gp2", "SwapConfiguration": "enabled.always"},
)


@functools.cache
def network() -> tuple[str, str]:
    parts = {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.8.0.0/16"}},
             "Net": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": ref("Vpc"), "CidrBlock": "10.8.1.0/24", "AvailabilityZone": ZONE}}}
    made = ends(create(parts, sections={"Outputs": {"Vpc": {"Value": ref("Vpc")}, "Net": {"Value": ref("Net")}}})[1], "CREATE_COMPLETE")
    found = {o["OutputKey"]: o["OutputValue"] for o in made["Outputs"]}
    return found["Vpc"], found["Net"]


@functools.cache
def published() -> str:
    """The template's address: it is too long for a request, as it is for AWS (51,200 bytes; 1 MB by URL)."""
    bucket = unique("templates")
    aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws("s3").put_object(Bucket=bucket, Key="cluster.yaml", Body=TEMPLATE.read_bytes())
    return f"https://{bucket}.s3.eu-west-1.amazonaws.com/cluster.yaml"


@functools.cache
def file_system() -> str:
    return aws("efs").create_file_system(CreationToken=unique("homes"), Encrypted=True)["FileSystemId"]


def values(user: str, **choices) -> dict:
    vpc, net = network()
    of_system = {"ClusterName": "demo", "ClusterUser": user, "AccessUsername": "alice", "ProfileBucket": "profiles", "ProfileName": user,
                 "AccessNetwork": "192.0.2.0/24", "VpcId": vpc, "SubnetId": net, "ComputeSubnetId": net, "Deployment": "deployment",
                 "ClusterRequest": "0a1b2c3d4e5f6071", "SystemBucket": "system", "UserBucket": "users", "ClusterZone": ZONE,
                 "HomeOwner": "345678"}
    return {**of_system, "ComputeMaxNodes": str(MOST), "ComputeInstanceTypeOther": "c6i.large", **choices}


def launched(name: str, **choices) -> dict:
    tags = [{"Key": "USER", "Value": choices["ClusterUser"]}, {"Key": "clusterdrop:deployment", "Value": "deployment"}]
    id_ = aws("cloudformation").create_stack(
        StackName=name, TemplateURL=published(), Capabilities=["CAPABILITY_IAM"], Parameters=given(**choices), Tags=tags)["StackId"]
    return ends(id_, "CREATE_COMPLETE", 60)


def removed(stack: dict) -> None:
    aws("cloudformation").delete_stack(StackName=stack["StackId"])
    ends(stack["StackId"], "DELETE_COMPLETE", 60)


def volumes(user: str) -> list[dict]:
    return aws("ec2").describe_volumes(Filters=[{"Name": "tag:USER", "Values": [user]}])["Volumes"]


def remains(stack: str, user: str) -> list[str]:
    """Whatever a cluster is made of and is still there, volumes apart."""
    ec2, iam = aws("ec2"), aws("iam")
    of_user = [{"Name": "tag:USER", "Values": [user]}]
    machines = [i for r in ec2.describe_instances(Filters=of_user)["Reservations"] for i in r["Instances"]]
    points = aws("efs").describe_access_points()["AccessPoints"]
    return [
        *(i["InstanceId"] for i in machines if i["State"]["Name"] != "terminated"),
        *(t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"] if t["LaunchTemplateName"].startswith(stack)),
        *(g["GroupName"] for g in ec2.describe_placement_groups()["PlacementGroups"] if g["GroupName"].startswith(stack)),
        *(g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"] if g["GroupName"].startswith(stack)),
        *(g["AutoScalingGroupName"] for g in aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
          if g["AutoScalingGroupName"].startswith(stack)),
        *(r["RoleName"] for r in iam.list_roles(MaxItems=1000)["Roles"] if r["RoleName"].startswith(stack)),
        *(p["InstanceProfileName"] for p in iam.list_instance_profiles(MaxItems=1000)["InstanceProfiles"]
          if p["InstanceProfileName"].startswith(stack)),
        *(s["Name"] for s in aws("secretsmanager").list_secrets(MaxResults=100)["SecretList"] if stack in s["Name"]),
        *(p["AccessPointId"] for p in points if p.get("RootDirectory", {}).get("Path") == f"/clusterdrop/{user}"),
    ]


def settings(user_data: str) -> dict:
    """What the node's agent reads: the script adds the end."""
    text = base64.b64decode(user_data).decode()
    assert text.startswith("#!/bin/bash\n") and len(text) <= 16384 and len(text.splitlines()) <= 39, len(text.splitlines())
    [line] = re.findall(r"^settings='(.*)'$", text, re.MULTILINE)
    return json.loads(line + '"site_profiles": []}')


def of_login(resources: dict) -> dict:
    told = aws("ec2").describe_instance_attribute(InstanceId=resources["LoginNode"], Attribute="userData")
    return settings(told["UserData"]["Value"])


def of_template(template: str) -> dict:
    version = aws("ec2").describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"][-1]
    return version["LaunchTemplateData"]


def is_as_asked(stack: dict, choices: dict, home: str, apps: bool, site: str) -> None:
    found = aws("cloudformation").describe_stack_resources(StackName=stack["StackId"])["StackResources"]
    resources = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}
    spot = MOST if choices.get("ComputeSpotPrice") != "0" else 0
    on_demand = int(choices.get("ComputeOnDemandMaxNodes") or MOST)
    groups = aws("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[f"{stack['StackName']}-spot", f"{stack['StackName']}-ondemand"])["AutoScalingGroups"]
    sizes = {g["AutoScalingGroupName"].rpartition("-")[2]: (g["MinSize"], g["DesiredCapacity"], g["MaxSize"]) for g in groups}
    assert sizes == {**({"spot": (0, 0, spot)} if spot else {}), **({"ondemand": (0, 0, on_demand)} if on_demand else {})}, sizes
    login = of_login(resources)
    scheduler, storage = login["scheduler"], login["storage"]
    assert (scheduler["spot_max"], scheduler["on_demand_max"], login["nodes_max"]) == (spot, on_demand, MOST), scheduler
    assert scheduler["fixed"] is (choices.get("AutoscalingPolicy") == "disabled"), scheduler
    made = resources.get("HomeVolume") or resources.get("KeptHomeVolume") or ""
    assert storage["home_volume"] == (choices.get("HomeVolumeId", "") if home == "again" else made), storage
    assert storage["apps_volume"] == resources.get("AppsVolume", "") and bool(storage["apps_volume"]) == apps, storage
    expected = {"": None, "efs": {"efs": {"file_system": choices.get("HomeFileSystem"), "access_point": resources.get("HomeAccessPoint")}},
                "nfs": {"nfs": choices.get("HomeNfs")}}[site]
    assert storage.get("home") == expected, storage
    for name, word in (("SpotLaunchTemplate", "spot"), ("OnDemandLaunchTemplate", "on-demand")):
        if name in resources:
            data = of_template(resources[name])
            told = settings(data["UserData"])
            assert told["scheduler"] == {**scheduler, "group": word} and told["storage"].get("home") == expected, told
            assert told["scheduler"]["spot_types"] == told["scheduler"]["on_demand_types"] == data["InstanceType"], told
    held = aws("ec2").describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [resources["LoginNode"]]}])["Volumes"]
    held = [v for v in held if any(a["InstanceId"] == resources["LoginNode"] for a in v["Attachments"])]
    assert all(v["Encrypted"] for v in held), held
    assert {v["VolumeId"] for v in held} >= {v for v in (made, resources.get("AppsVolume")) if v}, held
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
    assert outputs["AccessIP"] and outputs["Username"] == "alice" and outputs["WebAccess"] == "", outputs


def lives(nth: int, market: dict, place: dict, home: str, apps: bool, site: str) -> None:
    user, name = unique("u"), unique("clusterdrop-all")
    layout = {(False, False): "standard", (True, False): "discrete.home", (False, True): "discrete.apps",
              (True, True): "discrete.home-discrete.apps"}[home != "none", apps]
    of_site = {"": {}, "efs": {"HomeFileSystem": file_system()}, "nfs": {"HomeNfs": "fs.site.example:/homes"}}[site]
    # A placement group takes no burstable type, and the functions name an image for the type's processors.
    choices = {**TURNS[nth % len(TURNS)], **market, **place, **of_site, "VolumeLayout": layout,
               **({"HomeVolumeRetention": "retain"} if home == "stays" else {}),
               **({"HomeVolumeId": "vol-0a1b2c3d4e5f60718"} if home == "again" else {})}
    stack = launched(name, **values(user, **choices))
    is_as_asked(stack, choices, home, apps, site)
    removed(stack)
    left = volumes(user)
    assert [(v["State"], v["Encrypted"]) for v in left] == ([("available", True)] if home == "stays" else []), left
    for volume in left:
        aws("ec2").delete_volume(VolumeId=volume["VolumeId"])
    assert not (more := remains(name, user)), more


@check
def c15_a_cluster_of_every_combination_of_choices_comes_and_goes_and_leaves_only_what_was_to_be_kept():
    # A home of the site's and a volume for homes exclude each other: the functions refuse them together.
    every = [it for it in itertools.product(MARKETS, PLACES, HOMES, APPS, SITES) if it[2] == "none" or not it[4]]
    network(), published(), file_system()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(lives, nth, *it) for nth, it in enumerate(every)]:
            done.result()


@check
def c14_a_cluster_that_never_was_leaves_no_home_behind():
    user, name = unique("u"), unique("clusterdrop-failed")
    order = {"kind": "resource", "stack": name, "resource": "LoginNode", "reason": "no capacity"}
    control("POST", "faults", order)
    tags = [{"Key": "USER", "Value": user}]
    id_ = aws("cloudformation").create_stack(
        StackName=name, TemplateURL=published(), Capabilities=["CAPABILITY_IAM"], Tags=tags,
        Parameters=given(**values(user, VolumeLayout="discrete.home", HomeVolumeRetention="retain")))["StackId"]
    ends(id_, "ROLLBACK_COMPLETE", 60)
    assert volumes(user) == [] and remains(name, user) == []
