"""A group's life: instances come and go until there are as many as are desired, each with an activity of its own.

Everything runs on the event loop, in steps that do not wait: whatever takes time is a later step. A launch that fails is tried
again, later each time, for as long as the capacity is desired.
"""

import asyncio
import json
import re
import time

from emulator import bus, faults, settings
from emulator.scaling import activities, markets, words

ALIVE = ("Pending", "InService")
# aws-samples/aws-fault-injection-simulator-workshop#114
PROTECTED = "Could not scale to desired capacity because all remaining instances are protected from scale-in."


def later(seconds: float, act, *arguments) -> None:
    """In the account and Region of the call that asks for it."""
    asyncio.get_running_loop().call_later(seconds, act, *arguments)


def soon(name: str) -> None:
    later(0, step, name)


def all_groups():
    from ministack.services import autoscaling

    return autoscaling._asgs


def member(instance: str) -> tuple[dict, dict] | None:
    """The group of an instance, and the instance in it."""
    return next(((group, found) for group in all_groups().values() for found in group["Instances"]
                 if found["InstanceId"] == instance), None)


def alive(group: dict) -> list[dict]:
    return [found for found in group["Instances"] if found["LifecycleState"] in ALIVE]


def desire(group: dict, capacity: int, why: str) -> None:
    """`why` begins the cause of the next activity: "a user request …". What is asked anew is tried at once."""
    if capacity != group["DesiredCapacity"]:
        group["_why"] = (f"At {activities.now()} {why} changing the desired capacity from {group['DesiredCapacity']} to {capacity}.  ")
    group["DesiredCapacity"] = capacity
    group["_pause"] = group["_not_before"] = 0.0
    soon(group["AutoScalingGroupName"])


def step(name: str) -> None:
    group = all_groups().get(name)
    if group is None:
        return
    missing = group["DesiredCapacity"] - len(alive(group))
    if missing < 0:
        _shrink(group, -missing)
    elif missing > 0 and time.monotonic() >= group.get("_not_before", 0.0):
        _grow(group, missing)


def _cause(group: dict, text: str) -> str:
    return f"{group.pop('_why', '')}At {activities.now()} {text}"


def _grow(group: dict, missing: int) -> None:
    cause = _cause(group, "an instance was started in response to a difference between desired and actual capacity, increasing the "
                   f"capacity from {len(alive(group))} to {group['DesiredCapacity']}.")
    for _ in range(missing):
        refused = _launch(group, cause)
        if refused:
            return _try_again(group, refused, cause)
    group["_pause"] = 0.0
    return None


def _launch(group: dict, cause: str) -> str | None:
    """One instance; the words of the refusal where there is none."""
    from emulator import instances

    template = instances.from_launch_template({"LaunchTemplate": markets.source(group)})
    there = alive(group)
    market = markets.of(group, template, sum(found["_market"] == words.ON_DEMAND for found in there), len(there))
    kind, mixed, place = markets.type_of(group, template), markets.is_mixed(group), _place(group)
    fault = faults.take("launch", lambda f: _concerns(f, market), group=group["AutoScalingGroupName"])
    if fault and fault["do"] != "dies":
        return words.of_fault(fault, market, mixed, type=kind, zone=place["Availability Zone"], price=markets.price(group, template))
    wanted = {**template, "InstanceType": kind, **({"SubnetId": place["Subnet ID"]} if "Subnet ID" in place else {})}
    try:
        made = instances.launch(wanted, market)
    except ValueError as error:
        return words.of_ec2(re.sub(r" \(Service: .*\)$", "", str(error)), market, mixed)
    activity = activities.begin(group, f"Launching a new EC2 instance: {made['InstanceId']}", cause, place)
    _join(group, made, template, market, activity)
    slow = faults.take("launch", lambda f: "seconds" in f.order, group=group["AutoScalingGroupName"])
    seconds = float(slow["seconds"]) if slow else settings.LAUNCH_SECONDS
    later(seconds, _arrive, made["InstanceId"], activity, fault is not None)
    return None


def _concerns(fault, market: str) -> bool:
    if "do" not in fault.order or fault.get("market", market) != market:
        return False
    return fault["do"] == "dies" or market in words.REFUSALS[fault["do"]]


def _place(group: dict) -> dict:
    """As an activity's details name it; of several subnets the first, so that every run is alike."""
    from ministack.services import ec2

    subnet = group.get("VPCZoneIdentifier", "").split(",")[0]
    zone = ec2._subnets.get(subnet, {}).get("AvailabilityZone") or group["AvailabilityZones"][0]
    return {**({"Subnet ID": subnet} if subnet else {}), "Availability Zone": zone}


def _join(group: dict, made: dict, template: dict, market: str, activity: dict) -> None:
    from emulator import instances

    of_template = {t["Key"]: t["Value"] for t in instances.specified_tags(template, "instance")}
    own = {t["Key"]: t["Value"] for t in group["Tags"] if t.get("PropagateAtLaunch")}
    tags = {**of_template, **own, "aws:autoscaling:groupName": group["AutoScalingGroupName"]}
    instances.tag(made, [{"Key": key, "Value": value} for key, value in tags.items()])
    group["Instances"].append({
        "InstanceId": made["InstanceId"], "AvailabilityZone": made["Placement"]["AvailabilityZone"],
        "LifecycleState": "Pending", "HealthStatus": "Healthy", "InstanceType": made["InstanceType"],
        "ProtectedFromScaleIn": str(group["NewInstancesProtectedFromScaleIn"]).lower() == "true",
        "LaunchTemplate": template.get("_version", {}), "_market": market, "_launch": activity})


def _try_again(group: dict, message: str, cause: str) -> None:
    failed = activities.begin(group, "Launching a new EC2 instance", cause, _place(group))
    activities.end(failed, "Failed", message)
    tell(failed, "EC2 Instance Launch Unsuccessful")
    pause = group.get("_pause") or settings.LAUNCH_RETRY_SECONDS
    group["_pause"] = min(2 * pause, settings.LAUNCH_RETRY_SECONDS * 30)
    group["_not_before"] = time.monotonic() + pause
    # A moment later, so that this timer is not the one that comes too early.
    later(pause + 0.01, step, group["AutoScalingGroupName"])


def _arrive(instance: str, activity: dict, dies: bool) -> None:
    from emulator.scaling import interruptions

    found = member(instance)
    if found is None or found[1]["LifecycleState"] != "Pending":
        return
    if dies:
        activities.end(activity, "Failed", words.DIED)
        tell(activity, "EC2 Instance Launch Unsuccessful", instance)
        return terminate(*found, "an instance was taken out of service in response to an EC2 health check indicating it has been "
                         "terminated or stopped.")
    found[1]["LifecycleState"] = "InService"
    activities.end(activity)
    tell(activity, "EC2 Instance Launch Successful", instance)
    return interruptions.look()


def _shrink(group: dict, surplus: int) -> None:
    """The oldest go first: of one launch template the default policy says no more, and a busy one is as likely as an idle one."""
    free = [found for found in alive(group) if not found["ProtectedFromScaleIn"]]
    if len(free) < surplus and group.get("_stuck") != group["DesiredCapacity"]:
        group["_stuck"] = group["DesiredCapacity"]
        stuck = activities.begin(group, PROTECTED, _cause(group, "group reached equilibrium."), _place(group))
        activities.end(stuck, "Cancelled")
    count = len(alive(group))
    for found in free[:surplus]:
        terminate(group, found, "an instance was taken out of service in response to a difference between desired and actual capacity, "
                  f"shrinking the capacity from {count} to {group['DesiredCapacity']}.  At {activities.now()} instance "
                  f"{found['InstanceId']} was selected for termination.")


def terminate(group: dict, found: dict, cause: str) -> dict:
    """The activity. From now on the instance counts no more."""
    from ministack.services import ec2

    activity = activities.begin(group, f"Terminating EC2 instance: {found['InstanceId']}", _cause(group, cause), _place(group))
    found["LifecycleState"] = "Terminating"
    machine = ec2._instances.get(found["InstanceId"])
    if machine is not None and machine["State"]["Name"] == "running":
        machine["State"] = {"Code": 32, "Name": "shutting-down"}
    later(settings.DELETE_SECONDS, _leave, group["AutoScalingGroupName"], found["InstanceId"], activity)
    soon(group["AutoScalingGroupName"])
    return activity


def _leave(name: str, instance: str, activity: dict) -> None:
    from emulator import instances

    instances.terminate(instance)
    group = all_groups().get(name)
    if group is not None:
        for found in [found for found in group["Instances"] if found["InstanceId"] == instance]:
            activities.end(found["_launch"], "Cancelled")  # where it was still on its way
            group["Instances"].remove(found)
    activities.end(activity)
    tell(activity, "EC2 Instance Terminate Successful", instance)


def look_after_health() -> None:
    """Instances that somebody else ended are replaced. AWS takes minutes to see it."""
    from ministack.services import ec2

    for group in list(all_groups().values()):
        for found in alive(group):
            state = ec2._instances.get(found["InstanceId"], {}).get("State", {}).get("Name", "terminated")
            if state not in ("running", "pending"):
                found["HealthStatus"] = "Unhealthy"
                terminate(group, found, "an instance was taken out of service in response to an EC2 health check indicating it has been "
                          "terminated or stopped.")


def tell(activity: dict, kind: str, instance: str = "") -> None:
    """The activity's event (Auto Scaling user guide, "Amazon EC2 Auto Scaling event reference")."""
    if kind.endswith(" Successful") and not settings.LAUNCH_EVENTS:
        return
    detail = {
        "StatusCode": activity["StatusCode"], "AutoScalingGroupName": activity["AutoScalingGroupName"],
        "ActivityId": activity["ActivityId"], "Details": json.loads(activity["Details"]), "RequestId": activity["ActivityId"],
        "StatusMessage": activity.get("StatusMessage", ""), "EndTime": activity["EndTime"], "EC2InstanceId": instance,
        "StartTime": activity["StartTime"], "Cause": activity["Cause"]}
    bus.publish("aws.autoscaling", kind, detail, [activity["AutoScalingGroupARN"]])
