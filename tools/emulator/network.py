"""Types that MiniStack's templates lack, around an instance: rules of security groups, elastic addresses."""


def _rule(kind: str, direction: str):
    """Handlers of a rule that stands beside its group, as groups that name each other need it."""

    def create(logical_id, properties, stack_name):
        from ministack.services import ec2
        from ministack.services.cloudformation import provisioners

        group = ec2._security_groups.get(properties.get("GroupId", ""))
        if group is None:
            raise ValueError(f"The security group '{properties.get('GroupId')}' does not exist")
        given = dict(properties)
        if direction == "IpPermissionsEgress" and "DestinationSecurityGroupId" in given:
            given["SourceSecurityGroupId"] = given.pop("DestinationSecurityGroupId")
        rule = provisioners._ec2_sg_permissions([given])[0]
        if any(ec2._rules_match(rule, known) for known in group[direction]):
            raise ValueError("the specified rule already exists (Service: Ec2, Status Code: 400)")
        group[direction].append(rule)
        return ec2._sg_rule_id(group["GroupId"], kind == "Egress", rule), {"Id": logical_id}

    def delete(physical_id, properties):
        from ministack.services import ec2

        group = ec2._security_groups.get(properties.get("GroupId", ""))
        if group is not None:
            group[direction] = [rule for rule in group[direction]
                                if ec2._sg_rule_id(group["GroupId"], kind == "Egress", rule) != physical_id]

    return {"create": create, "delete": delete}


def _attach(allocation: str, instance: str) -> None:
    from ministack.services import ec2

    ec2._associate_address({"AllocationId": [allocation], "InstanceId": [instance]})
    if instance in ec2._instances:
        ec2._instances[instance]["PublicIpAddress"] = ec2._addresses[allocation]["PublicIp"]


def _address_create(logical_id, properties, stack_name):
    from ministack.services import ec2

    before = set(ec2._addresses)
    ec2._allocate_address({"Domain": [properties.get("Domain", "vpc")]})
    allocation = next(key for key in ec2._addresses if key not in before)
    ec2._tags[allocation] = list(properties.get("Tags") or [])
    if properties.get("InstanceId"):
        _attach(allocation, properties["InstanceId"])
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _address_delete(physical_id, properties):
    from ministack.services import ec2

    for key in [k for k, a in ec2._addresses.items() if a["PublicIp"] == physical_id]:
        ec2._release_address({"AllocationId": [key]})


def _association_create(logical_id, properties, stack_name):
    from ministack.services import ec2

    if properties.get("AllocationId") not in ec2._addresses:
        raise ValueError(f"The allocation ID '{properties.get('AllocationId')}' does not exist")
    _attach(properties["AllocationId"], properties.get("InstanceId", ""))
    return ec2._addresses[properties["AllocationId"]]["AssociationId"], {}


def _association_delete(physical_id, properties):
    from ministack.services import ec2

    ec2._disassociate_address({"AssociationId": [physical_id]})


def install() -> None:
    from ministack.services.cloudformation import provisioners

    table = provisioners._RESOURCE_HANDLERS
    table["AWS::EC2::SecurityGroupIngress"] = _rule("Ingress", "IpPermissions")
    table["AWS::EC2::SecurityGroupEgress"] = _rule("Egress", "IpPermissionsEgress")
    table["AWS::EC2::EIP"] = {"create": _address_create, "delete": _address_delete}
    table["AWS::EC2::EIPAssociation"] = {"create": _association_create, "delete": _association_delete}
    provisioners._STACK_TAG_PROPERTY["AWS::EC2::EIP"] = ("Tags", "list")
