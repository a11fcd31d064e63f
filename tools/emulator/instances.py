"""Instances: `AWS::EC2::Instance` in templates, which MiniStack lacks, and how one begins and ends, also in a group."""

import re

from emulator import addresses, disks


def _network(properties: dict) -> tuple[str, list, bool | None]:
    """(subnet, security groups, whether a public address was asked for) from either place where they may stand."""
    card = next((c for c in properties.get("NetworkInterfaces") or [] if str(c.get("DeviceIndex", "0")) == "0"), {})
    asked = card.get("AssociatePublicIpAddress")
    return (card.get("SubnetId") or properties.get("SubnetId", ""),
            card.get("GroupSet") or card.get("Groups") or properties.get("SecurityGroupIds") or [],
            None if asked is None else str(asked).lower() == "true")


def from_launch_template(properties: dict) -> dict:
    """What the launch template's version gives, under what the resource itself says; `_version` tells which one it was."""
    from ministack.services import ec2

    wanted = properties.get("LaunchTemplate") or {}
    found = next((t for t in ec2._launch_templates.values()
                  if wanted and (t["LaunchTemplateId"] == wanted.get("LaunchTemplateId")
                                 or t["LaunchTemplateName"] == wanted.get("LaunchTemplateName"))), None)
    if not wanted:
        return properties
    if found is None:
        raise ValueError(f"The specified launch template, {wanted}, does not exist.")
    version = str(wanted.get("Version") or "$Default")
    number = {"$Default": found["DefaultVersionNumber"], "$Latest": found["LatestVersionNumber"]}.get(version, version)
    held = next((v for v in found["Versions"] if str(v["VersionNumber"]) == str(number)), None)
    if held is None:
        raise ValueError(f"Could not find launch template version {version} of {found['LaunchTemplateId']}.")
    told = {"LaunchTemplateId": found["LaunchTemplateId"], "LaunchTemplateName": found["LaunchTemplateName"], "Version": str(number)}
    return {**held.get("LaunchTemplateData", {}), **properties, "_version": told}


def check(properties: dict) -> None:
    """What EC2 refuses before it starts an instance."""
    from ministack.services import ec2

    subnet, groups, _ = _network(properties)
    if subnet and subnet not in ec2._subnets:
        raise ValueError(f"The subnet ID '{subnet}' does not exist (Service: Ec2, Status Code: 400)")
    for group in groups:
        if group not in ec2._security_groups:
            raise ValueError(f"The security group '{group}' does not exist (Service: Ec2, Status Code: 400)")
    if not properties.get("ImageId"):
        raise ValueError("The request must contain the parameter ImageId (Service: Ec2, Status Code: 400)")
    _profile(properties)
    _check_architecture(properties["ImageId"], properties.get("InstanceType", "m1.small"))
    disks.check(properties)


def architecture(image: str) -> str | None:
    """Of an image that the launcher knows."""
    from ministack.services import ssm

    names = [name for name, known in ssm._PUBLIC_AMI_PARAMETERS.items() if known == image]
    return ("arm64" if names[0].endswith("arm64") else "x86_64") if names else None


def _check_architecture(image: str, kind: str) -> None:
    """EC2's own words, as public reports have them; a Graviton has a g right after the generation."""
    of_type, of_image = "arm64" if re.match(r"a1\.|[a-z]+\d+g[a-z]*\.", kind) else "x86_64", architecture(image)
    if of_image not in (None, of_type):
        raise ValueError(
            f"The architecture '{of_type}' of the specified instance type does not match the architecture '{of_image}' of the specified "
            "AMI. Specify an instance type and an AMI that have matching architectures, and try again. You can use "
            "'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI. "
            "(Service: Ec2, Status Code: 400)")


def _profile(properties: dict) -> dict | None:
    from ministack.services import ec2

    profile = properties.get("IamInstanceProfile")
    profile = profile if isinstance(profile, dict) else {"Name": profile or ""}
    name = profile.get("Name") or profile.get("Arn") or ""
    found = ec2._resolve_iam_instance_profile(
        iam_arn=profile.get("Arn", ""), iam_name=profile.get("Name", "")) if name else (None, None)
    if name and found[1] is not None:
        raise ValueError(f"Value ({name}) for parameter iamInstanceProfile.name is invalid. "
                         "Invalid IAM Instance Profile name (Service: Ec2, Status Code: 400)")
    return found[0]


def launch(properties: dict, market: str = "on-demand") -> dict:
    from ministack.services import ec2

    check(properties)
    subnet, groups, public = _network(properties)
    if public is None:
        public = str(ec2._subnets.get(subnet, {}).get("MapPublicIpOnLaunch", not subnet)).lower() == "true"
    subnet_id = subnet or ec2._DEFAULT_SUBNET_ID
    instance = ec2._launch_instances_internal(
        properties["ImageId"], properties.get("InstanceType", "m1.small"), subnet_id, 1,
        key_name=properties.get("KeyName", ""), user_data=properties.get("UserData", ""), sg_ids=list(groups) or None,
        requested_private_ip=addresses.free(subnet_id), iam_profile=_profile(properties))[0]
    if not public:
        instance["PublicIpAddress"] = instance["PublicDnsName"] = ""
    elif instance["PublicIpAddress"]:
        instance["PublicDnsName"] = f"ec2-{instance['PublicIpAddress'].replace('.', '-')}.compute-1.amazonaws.com"
    zone = ec2._subnets.get(subnet, {}).get("AvailabilityZone")
    if zone:
        instance["Placement"]["AvailabilityZone"] = zone
    instance["Placement"]["GroupName"] = disks.placement(properties)
    instance["Architecture"] = architecture(properties["ImageId"]) or "x86_64"
    instance["_market"], instance["_metadata"] = market, properties.get("MetadataOptions") or {}
    spread = [t for t in properties.get("Tags") or [] if str(properties.get("PropagateTagsToVolumeOnCreation")).lower() == "true"]
    disks.furnish(instance, properties, specified_tags(properties, "volume") or _plain(spread))
    return instance


def specified_tags(properties: dict, kind: str) -> list:
    """What a launch template has EC2 tag its instances or volumes with."""
    return _plain([t for given in properties.get("TagSpecifications") or [] if given.get("ResourceType") == kind
                   for t in given.get("Tags") or []])


def _plain(tags: list) -> list:
    return [{"Key": str(t["Key"]), "Value": str(t["Value"])} for t in tags if not str(t["Key"]).startswith("aws:")]


def terminate(instance: str) -> None:
    """It, and the disks that are to go with it."""
    from ministack.services import ec2

    if instance in ec2._instances:
        ec2._terminate_instances({"InstanceId.1": [instance]})
        disks.release(instance)


def tag(instance: dict, tags: list) -> None:
    from ministack.services import ec2

    ec2._tags[instance["InstanceId"]] = [{"Key": str(t["Key"]), "Value": str(t["Value"])} for t in tags]


def _create(logical_id, properties, stack_name):
    properties = from_launch_template(properties)
    instance = launch(properties)
    tag(instance, [*specified_tags(properties, "instance"), *(properties.get("Tags") or [])])
    disks.attach(properties, instance)
    return instance["InstanceId"], {
        "InstanceId": instance["InstanceId"], "VpcId": instance["VpcId"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "PrivateIp": instance["PrivateIpAddress"], "PrivateDnsName": instance["PrivateDnsName"],
        "PublicIp": instance["PublicIpAddress"], "PublicDnsName": instance["PublicDnsName"]}


def _update(physical_id, old, new, stack_name):
    from ministack.services import ec2

    if {k: v for k, v in old.items() if k != "Tags"} == {k: v for k, v in new.items() if k != "Tags"}:
        tag(ec2._instances[physical_id], new.get("Tags") or [])
        return physical_id, {}
    return _create("", new, stack_name)


def _named_profiles(handler: dict) -> None:
    """Ref of an instance profile is its name; MiniStack gives the ARN, which EC2 then refuses."""
    from ministack.services import iam

    plain_create, plain_update, plain_delete = handler["create"], handler["update"], handler["delete"]

    def arn(name):
        return iam._instance_profiles.get(name, {}).get("Arn", name)

    def create(logical_id, properties, stack_name):
        found, attributes = plain_create(logical_id, properties, stack_name)
        return found.rpartition("/")[2], attributes

    def update(physical_id, *rest):
        found, attributes = plain_update(arn(physical_id), *rest)
        return found.rpartition("/")[2], attributes

    handler.update(create=create, update=update,
                   delete=lambda physical_id, properties: plain_delete(arn(physical_id), properties))


def _tell_user_data() -> None:
    """DescribeInstanceAttribute gives the user data, as base64; MiniStack keeps them and tells nothing."""
    from xml.sax.saxutils import escape

    from ministack.services import ec2

    plain = ec2._ACTION_MAP["DescribeInstanceAttribute"]

    def describe(params):
        instance = ec2._instances.get(ec2._p(params, "InstanceId"))
        if instance is None or ec2._p(params, "Attribute") != "userData":
            return plain(params)
        return ec2._xml(200, "DescribeInstanceAttributeResponse", f"<instanceId>{instance['InstanceId']}</instanceId>"
                        f"<userData><value>{escape(instance.get('UserData', ''))}</value></userData>")

    ec2._ACTION_MAP["DescribeInstanceAttribute"] = describe


def _tell_market_and_place() -> None:
    """InstanceLifecycle and the placement group, which MiniStack does not know."""
    from ministack.services import ec2

    plain = ec2._instance_xml

    def xml(instance):
        spot = "<instanceLifecycle>spot</instanceLifecycle>" if instance.get("_market") == "spot" else ""
        place = instance["Placement"].get("GroupName") or ""
        return plain(instance).replace("<tenancy>", f"<groupName>{place}</groupName><tenancy>", 1).replace(
            "<amiLaunchIndex>", f"{spot}<amiLaunchIndex>", 1)

    ec2._instance_xml = xml


def _see_who_ends_them() -> None:
    """Disks go with an instance that is ended by hand, and its group replaces it; one that is stopped as well."""
    from ministack.services import ec2

    from emulator.scaling import groups

    def followed(action):
        plain = ec2._ACTION_MAP[action]

        def act(params):
            answer = plain(params)
            if answer[0] == 200:
                for instance in ec2._parse_member_list(params, "InstanceId") if action == "TerminateInstances" else []:
                    disks.release(instance)
                groups.look_after_health()
            return answer

        return act

    for action in ("TerminateInstances", "StopInstances"):
        ec2._ACTION_MAP[action] = followed(action)


def install() -> None:
    from ministack.services.cloudformation import provisioners

    table = provisioners._RESOURCE_HANDLERS
    table["AWS::EC2::Instance"] = {"create": _create, "update": _update, "delete": lambda physical_id, _: terminate(physical_id)}
    provisioners._STACK_TAG_PROPERTY["AWS::EC2::Instance"] = ("Tags", "list")
    _named_profiles(table["AWS::IAM::InstanceProfile"])
    _tell_user_data()
    _tell_market_and_place()
    _see_who_ends_them()
