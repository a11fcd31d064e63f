"""Volumes: those of a template, those that come with an instance, and where a machine may stand (placement groups).

MiniStack's templates have none of them; its instances have one disk of 8 GB, which outlives them.
"""

IMAGE_GB = 8  # the size of the images that the launcher knows
# type -> least and most GiB (EBS user guide, "Amazon EBS volume types")
SIZES = {"gp2": (1, 16384), "gp3": (1, 65536), "io1": (4, 16384), "io2": (4, 65536), "st1": (125, 16384), "sc1": (125, 16384),
         "standard": (1, 1024)}
BURSTABLE = ("t1", "t2", "t3", "t3a", "t4g")
_BY_EC2 = " (Service: Ec2, Status Code: 400)"


def _described(properties: dict) -> dict:
    """A volume's own fields, out of what a template or a block device says."""
    from ministack.services import ec2

    kind, snapshot = properties.get("VolumeType", "gp2"), properties.get("SnapshotId", "")
    if kind not in SIZES:
        raise ValueError(f"Unknown volume type: {kind}{_BY_EC2}")
    size = int(properties.get("VolumeSize") or properties.get("Size") or IMAGE_GB)
    least, most = SIZES[kind]
    if not least <= size <= most:
        word = "small" if size < least else "large"
        raise ValueError(f"Volume of {size}GiB is too {word} for volume type {kind}; {'minimum' if size < least else 'maximum'} is "
                         f"{least if size < least else most}GiB{_BY_EC2}")
    if kind in ("io1", "io2") and not properties.get("Iops"):
        raise ValueError(f"The parameter iops must be specified for {kind} volumes.{_BY_EC2}")
    if snapshot and snapshot not in ec2._snapshots:
        raise ValueError(f"The snapshot '{snapshot}' does not exist.{_BY_EC2}")
    encrypted = str(properties.get("Encrypted", False)).lower() == "true"
    return {"Size": size, "VolumeType": kind, "SnapshotId": snapshot, "Encrypted": encrypted,
            "Iops": int(properties.get("Iops") or (3000 if kind == "gp3" else 0)),
            "Throughput": int(properties.get("Throughput") or (125 if kind == "gp3" else 0))}


def check(properties: dict, root: str = "/dev/xvda") -> None:
    """What EC2 refuses of an instance's disks and its place before it starts it."""
    from ministack.services import ec2

    for mapping in properties.get("BlockDeviceMappings") or []:
        size = _described(mapping["Ebs"])["Size"] if "Ebs" in mapping else IMAGE_GB
        if mapping["DeviceName"] == root and size < IMAGE_GB:
            raise ValueError(f"Volume of size {size}GB is smaller than snapshot 'snap-0c2023a1b2c3d4e5f', expect size >= {IMAGE_GB}GB"
                             f"{_BY_EC2}")
    group = placement(properties)
    if not group:
        return
    if group not in ec2._placement_groups:
        raise ValueError(f"The Placement Group '{group}' is unknown.{_BY_EC2}")
    kind = properties.get("InstanceType", "m1.small")
    if ec2._placement_groups[group]["Strategy"] == "cluster" and kind.split(".")[0] in BURSTABLE:
        raise ValueError(f"Cluster placement groups are not supported by the '{kind}' instance type. Specify a supported instance type or "
                         f"change the placement group strategy, and try again.{_BY_EC2}")


def placement(properties: dict) -> str:
    """A launch template says it in one way, an instance of a template in another."""
    return (properties.get("Placement") or {}).get("GroupName") or properties.get("PlacementGroupName") or ""


def furnish(instance: dict, properties: dict, tags: list) -> None:
    """The disks that were asked for, in place of MiniStack's own."""
    from ministack.services import ec2

    zone = instance["Placement"]["AvailabilityZone"]
    root = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    ec2._volumes[root]["AvailabilityZone"] = zone
    for mapping in [m for m in properties.get("BlockDeviceMappings") or [] if "Ebs" in m]:
        ends = str(mapping["Ebs"].get("DeleteOnTermination", True)).lower() == "true"
        if mapping["DeviceName"] == instance["RootDeviceName"]:
            ec2._volumes[root].update(_described(mapping["Ebs"]))
            ec2._volumes[root]["Attachments"][0]["DeleteOnTermination"] = ends
        else:
            _attach(_make(mapping["Ebs"], zone), instance, mapping["DeviceName"], ends)
    for volume in _of(instance["InstanceId"]):
        ec2._tags[volume["VolumeId"]] = list(tags)


def _of(instance: str) -> list[dict]:
    from ministack.services import ec2

    return [volume for volume in ec2._volumes.values() if any(a["InstanceId"] == instance for a in volume["Attachments"])]


def _make(properties: dict, zone: str) -> str:
    from ministack.services import ec2

    wanted, before = _described(properties), set(ec2._volumes)
    ec2._create_volume({"AvailabilityZone": [zone]})
    made = next(key for key in ec2._volumes if key not in before)
    ec2._volumes[made].update(wanted)
    return made


def _attach(volume: str, instance: dict, device: str, ends: bool = False) -> None:
    from ministack.services import ec2

    ec2._attach_volume({"VolumeId": [volume], "InstanceId": [instance["InstanceId"]], "Device": [device]})
    ec2._volumes[volume]["Attachments"][0]["DeleteOnTermination"] = ends
    held = {"VolumeId": volume, "Status": "attached", "AttachTime": instance["LaunchTime"], "DeleteOnTermination": ends}
    instance["BlockDeviceMappings"].append({"DeviceName": device, "Ebs": held})


def release(instance: str) -> None:
    """What becomes of the disks of an instance that has ended."""
    from ministack.services import ec2

    for volume in _of(instance):
        if volume["Attachments"][0]["DeleteOnTermination"]:
            del ec2._volumes[volume["VolumeId"]]
            ec2._tags.pop(volume["VolumeId"], None)
        else:
            volume.update(Attachments=[], State="available")


def _volume_create(logical_id, properties, stack_name):
    from ministack.services import ec2

    if not properties.get("AvailabilityZone"):
        raise ValueError(f"The request must contain the parameter zone{_BY_EC2}")
    if not properties.get("Size") and not properties.get("SnapshotId"):
        raise ValueError(f"The request must contain the parameter size/snapshot{_BY_EC2}")
    made = _make(properties, properties["AvailabilityZone"])
    ec2._tags[made] = [{"Key": str(t["Key"]), "Value": str(t["Value"])} for t in properties.get("Tags") or []]
    return made, {"VolumeId": made}


def _volume_delete(physical_id, properties):
    from ministack.services import ec2

    if ec2._volumes.get(physical_id, {}).get("Attachments"):
        raise RuntimeError(f"Volume {physical_id} is currently attached to {ec2._volumes[physical_id]['Attachments'][0]['InstanceId']}"
                           f"{_BY_EC2}")
    ec2._volumes.pop(physical_id, None)
    ec2._tags.pop(physical_id, None)


def attach(properties: dict, instance: dict) -> None:
    """The volumes that an instance of a template names. CloudFormation attaches them before it awaits the instance's signal."""
    for wanted in properties.get("Volumes") or []:
        _attachment_create("", {**wanted, "InstanceId": instance["InstanceId"]}, "")


def _attachment_create(logical_id, properties, stack_name):
    from ministack.services import ec2

    volume, instance = ec2._volumes.get(properties.get("VolumeId", "")), ec2._instances.get(properties.get("InstanceId", ""))
    if volume is None:
        raise ValueError(f"The volume '{properties.get('VolumeId')}' does not exist.{_BY_EC2}")
    if instance is None:
        raise ValueError(f"The instance ID '{properties.get('InstanceId')}' does not exist{_BY_EC2}")
    if volume["Attachments"]:
        raise ValueError(f"{volume['VolumeId']} is already attached to an instance{_BY_EC2}")
    if volume["AvailabilityZone"] != instance["Placement"]["AvailabilityZone"]:
        raise ValueError(f"The volume '{volume['VolumeId']}' is not in the same availability zone as instance "
                         f"'{instance['InstanceId']}'{_BY_EC2}")
    device = properties.get("Device", "/dev/sdf")
    if any(held["DeviceName"] == device for held in instance["BlockDeviceMappings"]):
        raise ValueError(f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use{_BY_EC2}")
    _attach(volume["VolumeId"], instance, device)
    return f"{volume['VolumeId']}|{instance['InstanceId']}", {}


def _attachment_delete(physical_id, properties):
    from ministack.services import ec2

    volume, _, instance = physical_id.partition("|")
    held = ec2._volumes.get(volume)
    if held is not None and any(a["InstanceId"] == instance for a in held["Attachments"]):
        held.update(Attachments=[], State="available")
    machine = ec2._instances.get(instance)
    if machine is not None:
        machine["BlockDeviceMappings"] = [m for m in machine["BlockDeviceMappings"] if m["Ebs"].get("VolumeId") != volume]


def _place_create(logical_id, properties, stack_name):
    from ministack.services import ec2
    from ministack.services.cloudformation import provisioners

    name = provisioners._physical_name(stack_name, logical_id)
    ec2._create_placement_group({"GroupName": [name], "Strategy": [properties.get("Strategy", "cluster")],
                                 "PartitionCount": [str(properties.get("PartitionCount", ""))]})
    made = ec2._placement_groups[name]
    ec2._tags[made["GroupId"]] = list(properties.get("Tags") or [])
    return name, {"GroupName": name}


def _place_delete(physical_id, properties):
    from ministack.services import ec2

    if any(machine["Placement"].get("GroupName") == physical_id and machine["State"]["Name"] != "terminated"
           for machine in ec2._instances.values()):
        raise RuntimeError(f"The placement group '{physical_id}' is in use and may not be deleted.{_BY_EC2}")
    ec2._delete_placement_group({"GroupName": [physical_id]})


def install() -> None:
    from ministack.services.cloudformation import provisioners

    table, tagged = provisioners._RESOURCE_HANDLERS, provisioners._STACK_TAG_PROPERTY
    table["AWS::EC2::Volume"] = {"create": _volume_create, "delete": _volume_delete}
    table["AWS::EC2::VolumeAttachment"] = {"create": _attachment_create, "delete": _attachment_delete}
    table["AWS::EC2::PlacementGroup"] = {"create": _place_create, "delete": _place_delete}
    tagged["AWS::EC2::Volume"] = tagged["AWS::EC2::PlacementGroup"] = ("Tags", "list")
