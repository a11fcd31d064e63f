"""How a stack comes to be: resources side by side in the order of their dependencies, each taking its time, as on AWS.

MiniStack makes them one after the other in ten milliseconds and stops at the first failure; AWS cancels the others that
are under way, names all of them, rolls back, and can be told to delete a stack that is still being made.
Updates and imports stay MiniStack's. How resources go again lives in deletion.py.
"""

import asyncio
import copy
import time
import zlib

from emulator import deletion, existence, faults, nested, settings, signals
from emulator.scaling import stacks as groups

STACK = "AWS::CloudFormation::Stack"
CANCELLED = "Resource creation cancelled"
under_way: dict[str, "Creation"] = {}  # by stack id: what DeleteStack has to stop first


class Failed(Exception):
    """A resource that could not be made, and what is left of it."""

    def __init__(self, reason: str, physical_id: str = ""):
        super().__init__(reason)
        self.physical_id = physical_id


class Creation:
    def __init__(self, stack: dict, template: dict, params: dict, disable_rollback: bool, retain_except: bool = False):
        from ministack.services.cloudformation import engine, stacks

        self.stack, self.template, self.params = stack, template, params
        self.name, self.id = stack["StackName"], stack["StackId"]
        self.disable_rollback, self.retain_except = disable_rollback, retain_except
        self.conditions = engine._evaluate_conditions(template, params)
        self.definitions = template.get("Resources", {})
        self.records = stack.setdefault("_resources", {})
        self.failed: dict[str, str] = {}
        self.running: dict[asyncio.Task, str] = {}
        self.stopped = False
        self.over = asyncio.Event()
        self.started = time.monotonic()
        self.add_event = stacks._add_event

    def stop(self) -> None:
        """DeleteStack came: cancel what is under way and say nothing more about the stack."""
        self.stopped = True
        for task in self.running:
            task.cancel()

    async def run(self) -> None:
        under_way[self.id] = self
        try:
            await self._run()
        finally:
            under_way.pop(self.id, None)
            self.over.set()

    async def _run(self) -> None:
        from ministack.services.cloudformation import stacks

        self.stack.update(_template=self.template, _resolved_params=self.params, _conditions=self.conditions)
        order = existence.sort(self.definitions, self.conditions)
        if not self.stack.get("_disable_validation") and stacks._fail_property_validation(
                self.stack, self.id, self.name, self.definitions, order, self.params, self.conditions,
                self.template.get("Mappings", {}), self.disable_rollback):
            return None
        reason = await self._make_all(order)
        if self.stopped:
            return None
        return await (self._fail(reason) if reason else self._complete())

    async def _make_all(self, order: list[str]) -> str | None:
        needed = existence.needed(self.template, self.conditions)
        needs = {name: needed[name] & set(order) for name in order}
        waiting, done, reason = list(order), set(), None
        limit = self.stack.get("_timeout_seconds")
        while waiting or self.running:
            if not self.failed and not self.stopped and reason is None:
                for name in [n for n in waiting if needs[n] <= done]:
                    waiting.remove(name)
                    self.running[asyncio.create_task(self._make(name))] = name
            if not self.running:
                break
            left = None if limit is None else max(0.0, limit - (time.monotonic() - self.started))
            finished, _ = await asyncio.wait(self.running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not finished:
                reason, limit = "Stack creation time exceeded the specified timeout. ", None
            for task in finished:
                name = self.running.pop(task)
                if task.result():
                    done.add(name)
            if self.failed or reason:
                for task in self.running:
                    task.cancel()
        if self.failed and reason is None:
            reason = f"The following resource(s) failed to create: [{', '.join(self.failed)}]. "
        return reason

    async def _make(self, name: str) -> bool:
        """One resource from its first event to its last; true when it stands."""
        kind = self.definitions[name].get("Type", "")
        record = self.records[name] = {"LogicalResourceId": name, "ResourceType": kind, "PhysicalResourceId": "",
                                       "Properties": {}, "Attributes": {}}
        self._tell(record, "CREATE_IN_PROGRESS")
        try:
            await self._provision(name, kind, record)
        except asyncio.CancelledError:
            self._tell(record, "CREATE_FAILED", CANCELLED)
            self.failed[name] = CANCELLED
        except Exception as error:  # noqa: BLE001 (whatever a handler raises is the resource's reason)
            record["PhysicalResourceId"] = record["PhysicalResourceId"] or getattr(error, "physical_id", "")
            self._tell(record, "CREATE_FAILED", str(error))
            self.failed[name] = str(error)
        else:
            self._tell(record, "CREATE_COMPLETE")
            return True
        return False

    async def _provision(self, name: str, kind: str, record: dict) -> None:
        from ministack.core.concurrency import run_reentrant
        from ministack.services.cloudformation import engine, provisioners, stacks

        resolved = engine._resolve_refs(
            copy.deepcopy(self.definitions[name].get("Properties", {})), self.records, self.params, self.conditions,
            self.template.get("Mappings", {}), self.name, self.id)
        resolved = {key: value for key, value in (resolved or {}).items() if value is not engine._NO_VALUE}
        resolved, dynamic = engine._resolve_dynamic_references(resolved, None, reuse_ssm=False, reuse_secrets=False)
        record["Properties"] = resolved
        if dynamic:
            record["_dynamic"] = dynamic
        seconds = self._pace(name)
        fault = faults.take("resource", lambda f: f.get("on", "create") == "create", stack=self.name, resource=name)
        if fault:
            await asyncio.sleep(float(fault.get("after", seconds)))
            raise Failed(fault.get("reason", "ordered by a test"))
        properties = provisioners._with_stack_tags(
            kind, resolved, self.stack.get("Tags") or [], self.name, self.id, name)
        if kind == STACK:
            physical, attributes = await nested.create(self, name, properties)
        elif stacks._runs_on_worker_thread(kind):
            (physical, attributes), seed = await run_reentrant(
                stacks._provision_keeping_seed, kind, name, properties, self.name)
        else:
            (physical, attributes), seed = stacks._provision_keeping_seed(kind, name, properties, self.name)
        if kind != STACK and seed:
            record["_name_seed"] = seed
        record.update(PhysicalResourceId=physical, Attributes=attributes)
        self._tell(record, "CREATE_IN_PROGRESS", "Resource creation Initiated")
        await asyncio.sleep(seconds)
        if kind == groups.KIND:
            await groups.stabilize(physical)
        await signals.await_policy(self, name, record)

    def _pace(self, name: str) -> float:
        ordered = faults.pace(self.name, name, "create")
        # Not all alike, so that progress is seen to move; the same name always takes the same time.
        usual = settings.RESOURCE_SECONDS * (0.6 + zlib.crc32(name.encode()) % 9 / 10)
        return usual if ordered is None else ordered

    async def _complete(self) -> None:
        from ministack.services.cloudformation import _exports, stacks

        fault = faults.take("pace", lambda f: "total" in f.order, stack=self.name)
        if fault:
            await asyncio.sleep(max(0.0, float(fault["total"]) - (time.monotonic() - self.started)))
        if self.stopped:
            return None
        try:
            outputs, exports = stacks._resolve_stack_outputs(
                self.template.get("Outputs", {}), self.conditions, self.records, self.params,
                self.template.get("Mappings", {}), self.name, self.id)
        except Exception as error:  # noqa: BLE001 (an output that does not resolve fails the stack)
            return await self._fail(f"{error} ")
        _exports.update(exports)
        self.stack["Outputs"] = outputs
        return deletion.tell_stack(self.stack, "CREATE_COMPLETE")

    async def _fail(self, reason: str) -> None:
        from ministack.services.cloudformation import stacks

        if self.stack.get("_on_failure") == "DELETE":
            return await deletion.delete(self.stack, reason + "Delete requested by user.", inside=True)
        if self.disable_rollback:
            self.stack["_failed_operation"] = stacks._failed_operation(
                False, None, list(self.records), None, next(iter(self.failed), None), [], False, self.template,
                self.params, self.retain_except, self.stack.get("Tags") or [], [])
            return deletion.tell_stack(self.stack, "CREATE_FAILED", reason)
        return await deletion.roll_back(self.stack, reason + "Rollback requested by user.", self.retain_except)

    def _tell(self, record: dict, status: str, reason: str = "") -> None:
        deletion.tell_resource(self.stack, record, status, reason)


def install() -> None:
    from ministack.services.cloudformation import _stacks, changesets, handlers, stacks

    plain_deploy = stacks._deploy_stack_async

    def deploy(stack_name, stack_id, template, param_values, disable_rollback, tags, is_update=False,
               previous_stack=None, retain_except_on_create=False, imports=None):
        if is_update or imports:
            return plain_deploy(stack_name, stack_id, template, param_values, disable_rollback, tags, is_update,
                                previous_stack, retain_except_on_create, imports)
        return Creation(_stacks[stack_name], template, param_values, disable_rollback, retain_except_on_create).run()

    async def or_delete(stack_name, stack_id, coroutine):
        """OnFailure=DELETE: the creation itself goes over into the deletion."""
        await coroutine

    for module in (stacks, handlers, changesets):
        module._deploy_stack_async = deploy
        if hasattr(module, "_create_then_delete_on_failure"):
            module._create_then_delete_on_failure = or_delete
