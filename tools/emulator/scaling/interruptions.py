"""Spot interruptions, by order: a notice in the instance's metadata and on the bus, and the instance's end when its time is over.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

import datetime

from emulator import bus, faults
from emulator.scaling import groups, words

NOTICE_SECONDS = 120.0
_ends: dict[str, str] = {}  # instance -> when it ends, as its metadata say


def notice(instance: str) -> str | None:
    """The time of its end in UTC; none where the instance was not told of one."""
    return _ends.get(instance)


def forget() -> None:
    _ends.clear()


def look() -> None:
    """Tell every spot instance in service that a standing order concerns; called when either of them is new."""
    from ministack.core.responses import set_request_account_id, set_request_region

    for (account, region, _), group in list(groups.all_groups().all_items()):
        set_request_account_id(account)
        set_request_region(region)
        for found in group["Instances"]:
            if found["LifecycleState"] == "InService" and found["_market"] == words.SPOT and found["InstanceId"] not in _ends:
                order = faults.take("interruption", group=group["AutoScalingGroupName"], instance=found["InstanceId"])
                if order:
                    _begin(found, float(order.get("seconds", NOTICE_SECONDS)))


def _begin(found: dict, seconds: float) -> None:
    instance = found["InstanceId"]
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    _ends[instance] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    bus.publish("aws.ec2", "EC2 Spot Instance Interruption Warning", {"instance-id": instance, "instance-action": "terminate"},
                [f"arn:aws:ec2:{found['AvailabilityZone']}:instance/{instance}"])
    groups.later(seconds, _end, instance)


def _end(instance: str) -> None:
    from emulator import instances

    instances.terminate(instance)
    groups.look_after_health()
