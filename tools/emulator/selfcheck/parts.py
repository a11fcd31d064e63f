"""Checks of what a cluster's template is made of beside its groups: images, secrets, disks, placement, file systems."""

import string

from emulator.selfcheck.requests import given
from emulator.selfcheck.scaling import parts as group_parts
from emulator.selfcheck.scaling import ref
from emulator.selfcheck.world import aws, check, create, ends, node, refused, story, unique


def reasons(id_: str) -> list[str]:
    return [e["ResourceStatusReason"] for e in story(id_) if e["ResourceStatus"] == "CREATE_FAILED"]


def fails(resources: dict, says: str) -> None:
    _, id_ = create(resources)
    ends(id_, "ROLLBACK_COMPLETE")
    assert any(says in reason for reason in reasons(id_)), reasons(id_)


def outputs(stack: dict) -> dict:
    return {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}


@check
def debian_s_images_are_public_parameters():
    sections = {"Parameters": {"Image": {"Type": "AWS::SSM::Parameter::Value<String>"}},
                "Outputs": {"Image": {"Value": ref("Image")}}}
    resources = {"Q": {"Type": "AWS::SQS::Queue"}}
    found = {name: outputs(ends(create(resources, sections=sections, Parameters=given(
        Image=f"/aws/service/debian/release/13/latest/{name}"))[1], "CREATE_COMPLETE"))["Image"] for name in ("amd64", "arm64")}
    assert all(image.startswith("ami-") for image in found.values()) and len(set(found.values())) == 2, found
    told = refused("ValidationError", create, resources, sections=sections,
                   Parameters=given(Image="/aws/service/debian/release/13/latest/riscv"))
    assert "/aws/service/debian/release/13/latest/riscv" in told, told


@check
def an_image_runs_on_its_own_architecture_alone():
    client = aws("ssm")
    images = {name: client.get_parameter(Name=f"/aws/service/debian/release/13/latest/{name}")["Parameter"]["Value"]
              for name in ("amd64", "arm64")}
    for name, kind in (("arm64", "c7gn.large"), ("arm64", "a1.large"), ("amd64", "c6i.large"), ("amd64", "g4dn.xlarge")):
        login = node(ImageId=images[name], InstanceType=kind)
        ends(create({"Login": login})[1], "CREATE_COMPLETE")
    fails({"Login": node(ImageId=images["arm64"], InstanceType="g4dn.xlarge")},
          "The architecture 'x86_64' of the specified instance type does not match the architecture 'arm64' of the specified AMI.")
    fails(group_parts(data={"ImageId": images["amd64"], "InstanceType": "m6g.large"}),
          "You must use a valid fully-formed launch template. The architecture 'arm64' of the specified instance type")


def secret(**asked) -> dict:
    return {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": asked}}


@check
def a_secret_s_text_is_generated_as_it_is_asked_for():
    every = string.ascii_letters + string.digits + string.punctuation
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)
    for asked, allowed, needed in (
            ({}, every, kinds),
            (dict(PasswordLength=64, ExcludePunctuation=True), string.ascii_letters + string.digits, kinds[:3]),
            (dict(PasswordLength=8, ExcludeNumbers=True, ExcludeUppercase="true", ExcludeLowercase="false", ExcludePunctuation=True, IncludeSpace=True),
             string.ascii_lowercase + " ", (string.ascii_lowercase, " ")),
            (dict(PasswordLength=4096, ExcludeCharacters="\"'\\/@"), every.translate(str.maketrans("", "", "\"'\\/@")), kinds)):
        name, id_ = create({"S": secret(**asked)}, sections={"Outputs": {"S": {"Value": ref("S")}}})
        text = aws("secretsmanager").get_secret_value(SecretId=outputs(ends(id_, "CREATE_COMPLETE"))["S"])["SecretString"]
        assert len(text) == asked.get("PasswordLength", 32) and set(text) <= set(allowed), (asked, text)
        assert all(set(text) & set(kind) for kind in needed), (asked, text)


@check
def a_secret_that_cannot_be_generated_fails_with_its_reason():
    fails({"S": secret(PasswordLength=4097)}, "PasswordLength must be between 1 and 4096")
    fails({"S": secret(PasswordLength=3)}, "too short")
    fails({"S": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "a", "GenerateSecretString": {}}}},
          "both SecretString and GenerateSecretString")


def volume(size: int = 10, kind: str = "gp3", zone: str = "eu-west-1b", **more) -> dict:
    return {"Type": "AWS::EC2::Volume", "Properties": {"AvailabilityZone": zone, "Size": size, "VolumeType": kind, **more}}


def with_login(**more) -> dict:
    network = group_parts()
    return {"Vpc": network["Vpc"], "Net": network["Net"], "Login": node(SubnetId=ref("Net")), **more}


@check
def volumes_are_attached_kept_or_removed_as_the_template_says():
    resources = with_login(
        Home={**volume(20, "st1", Encrypted=True, Tags=[{"Key": "Name", "Value": "home"}]), "DeletionPolicy": "Retain"},
        Scratch=volume(10, Encrypted=True),
        HomeHere={"Type": "AWS::EC2::VolumeAttachment", "Properties": {
            "VolumeId": ref("Home"), "InstanceId": ref("Login"), "Device": "/dev/sdf"}},
        ScratchHere={"Type": "AWS::EC2::VolumeAttachment", "Properties": {
            "VolumeId": ref("Scratch"), "InstanceId": ref("Login"), "Device": "/dev/sdg"}})
    fails(resources, "Volume of 20GiB is too small for volume type st1; minimum is 125GiB")
    resources["Home"]["Properties"]["Size"] = 125
    name, id_ = create(resources, sections={"Outputs": {n: {"Value": ref(n)} for n in ("Home", "Scratch", "Login")}},
                       Tags=[{"Key": "USER", "Value": "alice"}])
    ids = outputs(ends(id_, "CREATE_COMPLETE"))
    home, scratch = aws("ec2").describe_volumes(VolumeIds=[ids["Home"], ids["Scratch"]])["Volumes"]
    assert (home["Size"], home["VolumeType"], home["Encrypted"], home["State"]) == (125, "st1", True, "in-use"), home
    assert home["Attachments"][0]["InstanceId"] == ids["Login"] and scratch["Attachments"][0]["Device"] == "/dev/sdg"
    assert {"Key": "USER", "Value": "alice"} in home["Tags"] and {"Key": "Name", "Value": "home"} in home["Tags"], home["Tags"]
    aws("cloudformation").delete_stack(StackName=name)
    ends(id_, "DELETE_COMPLETE")
    there = {v["VolumeId"]: v["State"] for v in aws("ec2").describe_volumes()["Volumes"]}
    assert there[ids["Home"]] == "available" and ids["Scratch"] not in there, there
    # What was kept is attached again, in a stack of its own.
    again = with_login(HomeHere={"Type": "AWS::EC2::VolumeAttachment", "Properties": {
        "VolumeId": ids["Home"], "InstanceId": ref("Login"), "Device": "/dev/sdf"}})
    ends(create(again)[1], "CREATE_COMPLETE")
    fails(again, "is already attached to an instance")


@check
def volumes_and_disks_that_ec2_refuses_are_refused():
    for wrong, says in ((volume(10, "gp9"), "Unknown volume type: gp9"), (volume(10, "io2"), "iops must be specified"),
                        (volume(70000), "too large"), (volume(SnapshotId="snap-none"), "snapshot 'snap-none' does not exist"),
                        (volume(zone=""), "zone")):
        fails({"V": wrong}, says)
    elsewhere = with_login(Far=volume(zone="eu-west-1a"), Here={"Type": "AWS::EC2::VolumeAttachment", "Properties": {
        "VolumeId": ref("Far"), "InstanceId": ref("Login"), "Device": "/dev/sdf"}})
    fails(elsewhere, "is not in the same availability zone as instance")
    for size, end in ((7, "ROLLBACK_COMPLETE"), (8, "CREATE_COMPLETE")):
        login = node(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": size, "VolumeType": "gp3"}}])
        _, id_ = create({"Login": login})
        ends(id_, end)
    small = group_parts(data={"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 7}}]})
    fails(small, "You must use a valid fully-formed launch template. Volume of size 7GB is smaller than snapshot")


@check
def disks_of_an_instance_go_with_it_unless_they_are_to_stay():
    disks = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "Encrypted": True}},
             {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 40, "VolumeType": "gp3", "DeleteOnTermination": False}}]
    name, id_ = create({"Login": node(BlockDeviceMappings=disks, PropagateTagsToVolumeOnCreation=True)},
                       sections={"Outputs": {"Login": {"Value": ref("Login")}}}, Tags=[{"Key": "USER", "Value": (user := unique("bob"))}])
    login = outputs(ends(id_, "CREATE_COMPLETE"))["Login"]
    of_user = [{"Name": "tag:USER", "Values": [user]}]
    held = aws("ec2").describe_volumes(Filters=of_user)["Volumes"]
    assert sorted((v["Size"], v["Encrypted"]) for v in held) == [(30, True), (40, False)], held
    assert {v["Attachments"][0]["InstanceId"] for v in held} == {login}
    aws("cloudformation").delete_stack(StackName=name)
    ends(id_, "DELETE_COMPLETE")
    assert [(v["Size"], v["State"]) for v in aws("ec2").describe_volumes(Filters=of_user)["Volumes"]] == [(40, "available")]


@check
def a_placement_group_holds_types_that_may_stand_there():
    place = {"Place": {"Type": "AWS::EC2::PlacementGroup", "Properties": {"Strategy": "cluster"}}}
    held = group_parts(name=(name := unique("placed")), desired=1, data={"Placement": {"GroupName": ref("Place")}}) | place
    stack, id_ = create(held)
    ends(id_, "CREATE_COMPLETE")
    found = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["Instances"]
    machine = aws("ec2").describe_instances(InstanceIds=[found[0]["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert machine["Placement"]["GroupName"].startswith(stack), machine["Placement"]
    aws("cloudformation").delete_stack(StackName=stack)
    ends(id_, "DELETE_COMPLETE")
    assert not [g for g in aws("ec2").describe_placement_groups()["PlacementGroups"] if g["GroupName"].startswith(stack)]
    burstable = group_parts(data={"Placement": {"GroupName": ref("Place")}, "InstanceType": "t3.large"}) | place
    fails(burstable, "Cluster placement groups are not supported by the 't3.large' instance type.")
    fails({"Login": node(PlacementGroupName="nowhere", InstanceType="c5.large")}, "The Placement Group 'nowhere' is unknown.")


@check
def a_file_system_comes_and_goes_with_its_access_points():
    network = group_parts()
    resources = {
        "Vpc": network["Vpc"], "Net": network["Net"],
        "Wall": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "nfs", "VpcId": ref("Vpc")}},
        "Home": {"Type": "AWS::EFS::FileSystem", "Properties": {"Encrypted": True}},
        "Door": {"Type": "AWS::EFS::MountTarget", "Properties": {
            "FileSystemId": ref("Home"), "SubnetId": ref("Net"), "SecurityGroups": [{"Fn::GetAtt": ["Wall", "GroupId"]}]}},
        "Alice": {"Type": "AWS::EFS::AccessPoint", "Properties": {
            "FileSystemId": ref("Home"), "PosixUser": {"Uid": "20001", "Gid": "20001"},
            "RootDirectory": {"Path": "/alice", "CreationInfo": {"OwnerUid": "20001", "OwnerGid": "20001", "Permissions": "0700"}}}}}
    name, id_ = create(resources, sections={"Outputs": {n: {"Value": ref(n)} for n in ("Home", "Alice")}})
    ids, client = outputs(ends(id_, "CREATE_COMPLETE")), aws("efs")
    assert client.describe_file_systems(FileSystemId=ids["Home"])["FileSystems"][0]["Encrypted"]
    point = client.describe_access_points(AccessPointId=ids["Alice"])["AccessPoints"][0]
    assert point["PosixUser"]["Uid"] == 20001 or point["PosixUser"]["Uid"] == "20001", point
    refused("FileSystemInUse", client.delete_file_system, FileSystemId=ids["Home"])
    aws("cloudformation").delete_stack(StackName=name)
    ends(id_, "DELETE_COMPLETE")
    refused("FileSystemNotFound", client.describe_file_systems, FileSystemId=ids["Home"])
