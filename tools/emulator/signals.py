"""CreationPolicy: a resource is complete when its nodes have said so, by SignalResource.

No node boots in the emulator, so the launcher signals in its stead, unless a test has ordered otherwise.
"""

import asyncio
import time

from emulator import creation, faults, settings
from emulator.scaling import stacks as groups
from emulator.scaling.groups import all_groups

KINDS = ("AWS::EC2::Instance", groups.KIND)


async def await_policy(making, name: str, record: dict) -> None:
    from ministack.services.cloudformation import engine
    from ministack.services.cloudformation import wait_conditions as waits

    policy = making.definitions[name].get("CreationPolicy")
    if not policy or record["ResourceType"] not in KINDS:
        return  # a WaitCondition waits in MiniStack itself
    policy = engine._resolve_refs(dict(policy), making.records, making.params, making.conditions,
                                  making.template.get("Mappings", {}), making.name, making.id)
    asked = policy.get("ResourceSignal") or {}
    count = waits.validate_count(asked.get("Count"), name)
    timeout = waits.validate_resource_signal_timeout(asked.get("Timeout"), name) * settings.TIMEOUT_SCALE
    percent = float((policy.get("AutoScalingCreationPolicy") or {}).get("MinSuccessfulInstancesPercent", 100))
    node = faults.take("node", stack=making.name)
    if node and "timeout" in node.order:
        timeout = float(node["timeout"])
    key, token = (making.id, name), waits.register_slot(making.id)
    waits._waiting[key] = {"token": token, "stack_name": making.name, "resource_type": record["ResourceType"]}
    pretence = asyncio.create_task(_pretend_nodes(making.id, name, record, count, node))
    try:
        await _received(token, name, record["ResourceType"], count, timeout, percent)
    finally:
        pretence.cancel()
        waits._waiting.pop(key, None)
        waits._handles.pop(token, None)


async def _received(token: str, name: str, kind: str, count: int, timeout: float, percent: float) -> None:
    from ministack.services.cloudformation import wait_conditions as waits

    deadline = time.monotonic() + timeout
    while True:
        heard = dict(waits._handles.get(token, {}).get("signals", {}))
        bad = [unique for unique, signal in heard.items() if signal["Status"] == "FAILURE"]
        good = len(heard) - len(bad)
        if good >= count * percent / 100:
            return
        if bad and kind == "AWS::EC2::Instance":
            raise creation.Failed(f"Received FAILURE signal with UniqueId {bad[0]}")
        if len(bad) > count * (100 - percent) / 100:
            raise creation.Failed(f"Received {len(bad)} FAILURE signal(s) out of {count}.  Unable to satisfy "
                                  f"{percent:g}% MinSuccessfulInstancesPercent requirement")
        if time.monotonic() >= deadline:
            raise creation.Failed(f"Failed to receive {count - good} resource signal(s) within the specified duration")
        await asyncio.sleep(0.05)


async def _pretend_nodes(stack_id: str, name: str, record: dict, count: int, node) -> None:
    from ministack.services.cloudformation import wait_conditions as waits

    says = node.get("signal", "SUCCESS") if node else "SUCCESS"
    if says == "never":
        return
    await asyncio.sleep(float(node.get("after", settings.SIGNAL_SECONDS)) if node else settings.SIGNAL_SECONDS)
    told: set[str] = set()
    while len(told) < count:
        for node_id in _nodes(record)[:count]:
            if node_id not in told:
                told.add(node_id)
                waits.signal_resource(stack_id, name, node_id, says)
        if record["ResourceType"] != groups.KIND:
            return
        await asyncio.sleep(0.05)


def _nodes(record: dict) -> list[str]:
    """Those that have booted: of a group, what is in service by now."""
    if record["ResourceType"] != groups.KIND:
        return [record["PhysicalResourceId"]]
    members = all_groups().get(record["PhysicalResourceId"], {}).get("Instances", [])
    return [found["InstanceId"] for found in members if found["LifecycleState"] == "InService"]
