"""Instances: `AWS::EC2::Instance` in templates, which MiniStack lacks, and the members of an Auto Scaling group."""


def _network(properties: dict) -> tuple[str, list, bool | None]:
    """(subnet, security groups, whether a public address was asked for) from either place where they may stand."""
    card = next((c for c in properties.get("NetworkInterfaces") or [] if str(c.get("DeviceIndex", "0")) == "0"), {})
    asked = card.get("AssociatePublicIpAddress")
    return (card.get("SubnetId") or properties.get("SubnetId", ""),
            card.get("GroupSet") or card.get("Groups") or properties.get("SecurityGroupIds") or [],
            None if asked is None else str(asked).lower() == "true")


def _from_launch_template(properties: dict) -> dict:
    """What the launch template gives, under what the resource itself says."""
    from ministack.services import ec2

    wanted = properties.get("LaunchTemplate") or {}
    found = next((t for t in ec2._launch_templates.values()
                  if wanted and (t["LaunchTemplateId"] == wanted.get("LaunchTemplateId")
                                 or t["LaunchTemplateName"] == wanted.get("LaunchTemplateName"))), None)
    if wanted and found is None:
        raise ValueError(f"The specified launch template, {wanted}, does not exist.")
    data = found["Versions"][-1].get("LaunchTemplateData", {}) if found else {}
    return {**data, **properties}


def _launch(properties: dict, count: int = 1) -> list[dict]:
    from ministack.services import ec2

    subnet, groups, public = _network(properties)
    if subnet and subnet not in ec2._subnets:
        raise ValueError(f"The subnet ID '{subnet}' does not exist (Service: Ec2, Status Code: 400)")
    for group in groups:
        if group not in ec2._security_groups:
            raise ValueError(f"The security group '{group}' does not exist (Service: Ec2, Status Code: 400)")
    if not properties.get("ImageId"):
        raise ValueError("The request must contain the parameter ImageId (Service: Ec2, Status Code: 400)")
    if public is None:
        public = str(ec2._subnets.get(subnet, {}).get("MapPublicIpOnLaunch", not subnet)).lower() == "true"
    profile = properties.get("IamInstanceProfile")
    profile = profile if isinstance(profile, dict) else {"Name": profile or ""}
    name = profile.get("Name") or profile.get("Arn") or ""
    found = ec2._resolve_iam_instance_profile(
        iam_arn=profile.get("Arn", ""), iam_name=profile.get("Name", "")) if name else (None, None)
    if name and found[1] is not None:
        raise ValueError(f"Value ({name}) for parameter iamInstanceProfile.name is invalid. "
                         "Invalid IAM Instance Profile name (Service: Ec2, Status Code: 400)")
    made = ec2._launch_instances_internal(
        properties["ImageId"], properties.get("InstanceType", "m1.small"), subnet or ec2._DEFAULT_SUBNET_ID, count,
        key_name=properties.get("KeyName", ""), user_data=properties.get("UserData", ""), sg_ids=list(groups) or None,
        iam_profile=found[0])
    for instance in made:
        if not public:
            instance["PublicIpAddress"] = instance["PublicDnsName"] = ""
        elif instance["PublicIpAddress"]:
            instance["PublicDnsName"] = f"ec2-{instance['PublicIpAddress'].replace('.', '-')}.compute-1.amazonaws.com"
        zone = ec2._subnets.get(subnet, {}).get("AvailabilityZone")
        if zone:
            instance["Placement"]["AvailabilityZone"] = zone
    return made


def _tag(instance: dict, tags: list) -> None:
    from ministack.services import ec2

    ec2._tags[instance["InstanceId"]] = [{"Key": str(t["Key"]), "Value": str(t["Value"])} for t in tags]


def _create(logical_id, properties, stack_name):
    properties = _from_launch_template(properties)
    instance = _launch(properties)[0]
    _tag(instance, properties.get("Tags") or [])
    return instance["InstanceId"], {
        "InstanceId": instance["InstanceId"], "VpcId": instance["VpcId"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "PrivateIp": instance["PrivateIpAddress"], "PrivateDnsName": instance["PrivateDnsName"],
        "PublicIp": instance["PublicIpAddress"], "PublicDnsName": instance["PublicDnsName"]}


def _update(physical_id, old, new, stack_name):
    from ministack.services import ec2

    if {k: v for k, v in old.items() if k != "Tags"} == {k: v for k, v in new.items() if k != "Tags"}:
        _tag(ec2._instances[physical_id], new.get("Tags") or [])
        return physical_id, {}
    return _create("", new, stack_name)


def _delete(physical_id, properties):
    from ministack.services import ec2

    if physical_id in ec2._instances:
        ec2._terminate_instances({"InstanceId.1": [physical_id]})


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


def install() -> None:
    from ministack.services import autoscaling
    from ministack.services.cloudformation import provisioners

    table = provisioners._RESOURCE_HANDLERS
    table["AWS::EC2::Instance"] = {"create": _create, "update": _update, "delete": _delete}
    provisioners._STACK_TAG_PROPERTY["AWS::EC2::Instance"] = ("Tags", "list")
    _named_profiles(table["AWS::IAM::InstanceProfile"])
    _tell_user_data()
    group = table["AWS::AutoScaling::AutoScalingGroup"]
    plain_create, plain_delete = group["create"], group["delete"]

    def create_group(logical_id, properties, stack_name):
        mixed = ((properties.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {})
        source = properties.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification")
        zones = properties.get("VPCZoneIdentifier") or []
        launch = _from_launch_template({"LaunchTemplate": source}) if source else {}
        if zones and not _network(launch)[0]:
            launch["SubnetId"] = zones[0] if isinstance(zones, list) else zones.split(",")[0]
        name, attributes = plain_create(logical_id, properties, stack_name)
        record = autoscaling._asgs[name]
        made = _launch(launch, record["DesiredCapacity"]) if source else []
        tags = [t for t in properties.get("Tags") or [] if str(t.get("PropagateAtLaunch", "")).lower() == "true"]
        for instance in made:
            _tag(instance, [*tags, {"Key": "aws:autoscaling:groupName", "Value": name}])
            record["Instances"].append({
                "InstanceId": instance["InstanceId"], "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
                "LifecycleState": "InService", "HealthStatus": "Healthy", "ProtectedFromScaleIn": False,
                "LaunchTemplate": record["LaunchTemplate"], "InstanceType": instance["InstanceType"]})
        return name, {**attributes, "_instances": [i["InstanceId"] for i in made]}

    def delete_group(physical_id, properties):
        for member in autoscaling._asgs.get(physical_id, {}).get("Instances", []):
            _delete(member["InstanceId"], {})
        plain_delete(physical_id, properties)

    group["create"], group["delete"] = create_group, delete_group
