"""How a stack goes: rollback and deletion, dependents first, each resource taking its time.

A stack that is gone is known by its id only, as on AWS; its name is free for another at once.
"""

import asyncio

from emulator import creation, existence, faults, nested, settings
from emulator.scaling import stacks as groups

GONE = ("DELETE_COMPLETE", "DELETE_SKIPPED")


def tell_stack(stack: dict, status: str, reason: str = "") -> None:
    from ministack.services.cloudformation import stacks

    stack["StackStatus"], stack["StackStatusReason"] = status, reason
    stacks._add_event(stack["StackId"], stack["StackName"], stack["StackName"], "AWS::CloudFormation::Stack", status,
                      reason, stack["StackId"])


def tell_resource(stack: dict, record: dict, status: str, reason: str = "") -> None:
    from ministack.core.responses import now_iso
    from ministack.services.cloudformation import stacks

    record.update(ResourceStatus=status, ResourceStatusReason=reason, Timestamp=now_iso())
    stacks._add_event(stack["StackId"], stack["StackName"], record["LogicalResourceId"], record["ResourceType"], status,
                      reason, record["PhysicalResourceId"])


def _not_deleted(names: list[str]) -> str:
    return f"The following resource(s) failed to delete: [{', '.join(names)}]. "


async def roll_back(stack: dict, reason: str, retain_except_on_create: bool = False) -> None:
    tell_stack(stack, "ROLLBACK_IN_PROGRESS", reason)
    failed = await _take_down(stack, rollback=True, retain_except=retain_except_on_create)
    if stack["StackStatus"] != "ROLLBACK_IN_PROGRESS":
        return  # DeleteStack came meanwhile, and goes on from here
    if failed:
        tell_stack(stack, "ROLLBACK_FAILED", _not_deleted(failed))
    else:
        tell_stack(stack, "ROLLBACK_COMPLETE")


async def delete(stack: dict, reason: str = "User Initiated", retain=(), force: bool = False, inside: bool = False):
    """`inside` is a creation that failed and deletes itself: nobody to stop, nobody to wait for."""
    from ministack.core.responses import now_iso
    from ministack.services.cloudformation import _exports, _stacks

    if not stack.get("_deleting"):
        begin(stack, reason)
    making = creation.under_way.get(stack["StackId"])
    if making is not None and not inside:
        making.stop()
        await making.over.wait()
    failed = await _take_down(stack, retain=retain, force=force)
    stack.pop("_deleting", None)
    if failed:
        return tell_stack(stack, "DELETE_FAILED", _not_deleted(failed))
    for output in stack.get("Outputs", []):
        _exports.pop(output.get("ExportName"), None)
    stack["DeletionTime"] = now_iso()
    # The name is free before anyone hears that it is; from now on the stack is found by its id alone.
    if _stacks.get(stack["StackName"]) is stack:
        _stacks.pop(stack["StackName"])
    _stacks[stack["StackId"]] = stack
    return tell_stack(stack, "DELETE_COMPLETE")


def begin(stack: dict, reason: str = "User Initiated") -> None:
    """DescribeStacks right after DeleteStack already says so."""
    making = creation.under_way.get(stack["StackId"])
    if making is not None:
        making.stopped = True  # it must not call the stack complete any more
    stack["_deleting"] = True
    tell_stack(stack, "DELETE_IN_PROGRESS", reason)


async def _take_down(stack: dict, rollback=False, retain_except=False, retain=(), force=False) -> list[str]:
    """Delete what stands, side by side, each after all that depends on it. Returns what would not go."""
    needed = existence.needed(stack.get("_template") or {}, stack.get("_conditions") or {})
    standing = {name: record for name, record in stack.get("_resources", {}).items()
                if record.get("ResourceStatus") not in GONE}
    users: dict[str, set] = {name: set() for name in standing}
    for name in standing:
        for other in needed.get(name, set()) & set(standing):
            users[other].add(name)
    waiting, running, gone, failed = set(standing), {}, set(), []
    while True:
        for name in [n for n in waiting if users[n] <= gone]:
            waiting.discard(name)
            keep = (name in retain or _kept(stack, name, rollback, retain_except)
                    or (force and standing[name].get("ResourceStatus") == "DELETE_FAILED"))
            running[asyncio.create_task(_remove(stack, name, standing[name], keep, force))] = name
        if not running:
            return failed
        finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in finished:
            name = running.pop(task)
            (gone.add if task.result() else failed.append)(name)


def _kept(stack: dict, name: str, rollback: bool, retain_except: bool) -> bool:
    from ministack.services.cloudformation import stacks

    template = stack.get("_template") or {}
    policy = stacks._resource_policy(
        template.get("Resources", {}).get(name), "DeletionPolicy", stack.get("_resources", {}),
        stack.get("_resolved_params", {}), stack.get("_conditions", {}), template.get("Mappings", {}),
        stack["StackName"], stack["StackId"])
    if rollback:
        return policy == "Retain" and not retain_except
    return policy in ("Retain", "RetainExceptOnCreate")


async def _remove(stack: dict, name: str, record: dict, keep: bool, force: bool) -> bool:
    from ministack.core.concurrency import run_reentrant
    from ministack.services.cloudformation import provisioners, stacks

    kind, physical, properties = record["ResourceType"], record["PhysicalResourceId"], record.get("Properties", {})
    if keep:
        tell_resource(stack, record, "DELETE_SKIPPED")
        return True
    if not physical:  # it was cancelled before anything was there
        tell_resource(stack, record, "DELETE_COMPLETE")
        return True
    tell_resource(stack, record, "DELETE_IN_PROGRESS")
    try:
        ordered = faults.pace(stack["StackName"], name, "delete")
        await asyncio.sleep(settings.DELETE_SECONDS if ordered is None else ordered)
        fault = faults.take("resource", lambda f: f.get("on") == "delete", stack=stack["StackName"], resource=name)
        if fault:
            raise RuntimeError(fault.get("reason", "ordered by a test"))
        if kind == "AWS::CloudFormation::Stack":
            await nested.delete(physical)
        elif kind == groups.KIND:
            await groups.delete(physical)
        elif stacks._runs_on_worker_thread(kind):
            await run_reentrant(provisioners._delete_resource, kind, physical, properties, stack["StackName"], name)
        else:
            provisioners._delete_resource(kind, physical, properties, stack["StackName"], name)
    except Exception as error:  # noqa: BLE001 (whatever a handler raises is the resource's reason)
        tell_resource(stack, record, "DELETE_SKIPPED" if force else "DELETE_FAILED", str(error))
        return force
    tell_resource(stack, record, "DELETE_COMPLETE")
    return True


def install() -> None:
    from ministack.services import s3
    from ministack.services.cloudformation import handlers, provisioners, stacks

    def delete_async(stack_name, stack_id, retain_resources=(), force=False):
        """Called before DeleteStack answers, so that the status is already right; the rest runs after it."""
        stack = handlers._resolve_stack(stack_id)
        if stack is None or stack.get("_deleting"):
            return asyncio.sleep(0)
        begin(stack)
        return delete(stack, retain=retain_resources, force=force)

    for module in (stacks, handlers):
        module._delete_stack_async = delete_async

    bucket = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    plain_delete = bucket["delete"]

    def delete_bucket(physical_id, properties):
        """MiniStack drops the people's data with the bucket; AWS refuses."""
        held = s3._buckets.get(physical_id)
        if held and (held["objects"] or s3._bucket_has_versions(physical_id)):
            raise RuntimeError("The bucket you tried to delete is not empty. You must delete all versions in the "
                               "bucket. (Service: S3, Status Code: 409)")
        plain_delete(physical_id, properties)

    bucket["delete"] = delete_bucket
