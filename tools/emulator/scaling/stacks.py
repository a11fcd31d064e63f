"""Groups in templates: what CloudFormation refuses, what it waits for, and how a group goes."""

import asyncio
import time

from emulator import settings
from emulator.scaling import activities, groups, markets

KIND = "AWS::AutoScaling::AutoScalingGroup"


def _check(properties: dict) -> None:
    from emulator import instances

    least, most = int(properties["MinSize"]), int(properties["MaxSize"])
    desired = int(properties.get("DesiredCapacity", least))
    if not least <= desired <= most:  # convox/praxis#258
        raise ValueError(f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}")
    if properties.get("AutoScalingGroupName") in groups.all_groups():
        raise ValueError("AutoScalingGroup by this name already exists - A group with the name "
                         f"{properties['AutoScalingGroupName']} already exists")
    template = instances.from_launch_template({"LaunchTemplate": markets.source(properties)})
    subnets = properties.get("VPCZoneIdentifier") or []
    subnet = subnets.split(",")[0] if isinstance(subnets, str) else next(iter(subnets), "")
    try:
        instances.check({**template, **({"SubnetId": subnet} if subnet else {})})
    except ValueError as error:  # Auto Scaling tries the template when it is given
        raise ValueError(f"You must use a valid fully-formed launch template. {error}") from None


def _with_its_policy(name: str, properties: dict) -> dict:
    group = groups.all_groups()[name]
    group["MixedInstancesPolicy"] = properties.get("MixedInstancesPolicy")
    for tag in group["Tags"]:
        # Tags in a template say it for themselves; CloudFormation's own and the stack's go on to the instances.
        given = next((t for t in properties.get("Tags") or [] if t.get("Key") == tag["Key"]), {})
        tag["PropagateAtLaunch"] = str(given.get("PropagateAtLaunch", True)).lower() == "true"
    return group


async def stabilize(name: str) -> None:
    """CloudFormation waits for the least size, and fails with the last activity's words. How long is not known of AWS."""
    from emulator import creation

    group, deadline = groups.all_groups()[name], time.monotonic() + settings.GROUP_SECONDS
    while sum(found["LifecycleState"] == "InService" for found in group["Instances"]) < group["MinSize"]:
        if time.monotonic() >= deadline:
            raise creation.Failed(f"Group did not stabilize. Last scaling activity: {activities.last_words(group)}", name)
        await asyncio.sleep(0.05)


async def delete(name: str) -> None:
    """Down to nothing, and only then away: protected instances hold it up until CloudFormation gives up (aws/aws-cdk#18179)."""
    from ministack.services.cloudformation import provisioners

    group, deadline = groups.all_groups().get(name), time.monotonic() + settings.GROUP_SECONDS
    if group is not None:
        group["MinSize"] = group["MaxSize"] = 0
        groups.desire(group, 0, "a user request update of AutoScalingGroup constraints to min: 0, max: 0, desired: 0")
        while group["Instances"]:
            if time.monotonic() >= deadline:
                raise RuntimeError(f"{groups.PROTECTED} (group {name} has {len(group['Instances'])})")
            await asyncio.sleep(0.05)
    provisioners._asg_delete(name, {})


def install() -> None:
    from ministack.services.cloudformation import provisioners

    handler = provisioners._RESOURCE_HANDLERS[KIND]
    plain_create, plain_update = handler["create"], handler["update"]

    def create(logical_id, properties, stack_name):
        _check(properties)
        name, attributes = plain_create(logical_id, properties, stack_name)
        group = _with_its_policy(name, properties)
        capacity, group["DesiredCapacity"] = group["DesiredCapacity"], 0
        groups.desire(group, capacity, "a user request created an AutoScalingGroup")
        return name, attributes

    def update(physical_id, old, new, *rest):
        before = groups.all_groups().get(physical_id, {}).get("DesiredCapacity", 0)
        name, attributes = plain_update(physical_id, old, new, *rest)
        group, asked = _with_its_policy(name, new), new.get("DesiredCapacity")
        # CloudFormation sends what has changed: a capacity that was set since then stays, within the new bounds.
        wanted = before if asked == old.get("DesiredCapacity") else int(asked or group["MinSize"])
        group["DesiredCapacity"] = before
        groups.desire(group, max(group["MinSize"], min(group["MaxSize"], wanted)), (
            f"a user request update of AutoScalingGroup constraints to min: {group['MinSize']}, max: {group['MaxSize']}, desired: {wanted}"))
        return name, attributes

    handler["create"], handler["update"] = create, update
