"""EventBridge's default bus: CloudFormation's status events, S3's version ids, and what becomes of a delivery.

MiniStack sends no CloudFormation events, leaves `version-id` out of S3's, calls a rule's function once without retries,
and forgets an event whose target is missing. What a function then does with an event lives in functions.py.
"""

import collections
import contextvars
import fnmatch
import json
import logging
import threading
import time

from emulator import faults, queues

log = logging.getLogger("emulator.bus")

SENT: collections.deque = collections.deque(maxlen=5000)
_version_id: contextvars.ContextVar = contextvars.ContextVar("s3_version_id", default=None)


def publish(source: str, detail_type: str, detail: dict, resources: list[str]) -> None:
    """Put one event on the default bus as an AWS service does (PutEvents refuses `aws.*` sources)."""
    from ministack.core.responses import get_account_id, get_region, new_uuid
    from ministack.services import eventbridge

    eventbridge._dispatch_event({
        "EventId": new_uuid(), "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail),
        "EventBusName": "default", "Time": int(time.time()), "Resources": resources,
        "Account": get_account_id(), "Region": get_region(),
    })


def stack_event(event: dict) -> None:
    """The EventBridge twin of one stack event."""
    of_stack = event["PhysicalResourceId"] == event["StackId"]
    details = {"status": event["ResourceStatus"], "status-reason": event["ResourceStatusReason"]}
    detail = {"stack-id": event["StackId"], "status-details": details,
              "client-request-token": event.get("ClientRequestToken", "")}
    if not of_stack:
        detail.update({"logical-resource-id": event["LogicalResourceId"],
                       "physical-resource-id": event["PhysicalResourceId"],
                       "resource-type": event["ResourceType"], "properties": "{}"})
    subject = "Stack" if of_stack else "Resource"
    publish("aws.cloudformation", f"CloudFormation {subject} Status Change", detail, [event["StackId"]])


def _complete_s3(event: dict) -> None:
    detail = json.loads(event["Detail"])
    detail.pop("event-version", None)
    if _version_id.get():
        detail["object"]["version-id"] = _version_id.get()
    event["Detail"] = json.dumps(detail)


def _may_invoke(function: dict, rule_arn: str) -> bool:
    """Whether the function's own policy lets EventBridge call it for this rule, as AWS asks."""
    for statement in (function.get("policy") or {}).get("Statement", []):
        principal = statement.get("Principal")
        service = principal.get("Service") if isinstance(principal, dict) else principal
        source = (statement.get("Condition", {}).get("ArnLike") or {}).get("AWS:SourceArn", "*")
        if service == "events.amazonaws.com" and fnmatch.fnmatchcase(rule_arn, source):
            return True
    return False


def _obstacle(target: dict, rule: dict, event: dict) -> tuple[str, str] | None:
    """Why EventBridge cannot hand this event to its target for good, as (error code, message)."""
    from ministack.services import lambda_svc, sqs

    arn = target.get("Arn", "")
    ordered = faults.take("event", lambda f: f.get("do") == "undeliverable", detail_type=event.get("DetailType", ""),
                          text=str(event.get("Detail")), function=arn)
    if ordered:
        return ordered.get("error", "INTERNAL_ERROR"), ordered.get("reason", "ordered by a test")
    if ":lambda:" in arn:
        function, _, name = lambda_svc._get_func_record_for_ref(arn)
        if function is None:
            return "NO_RESOURCE", f"Function not found: {name}"
        # A schedule of EventBridge Scheduler acts by its role instead.
        if ":events:" in rule.get("Arn", "") and not _may_invoke(function, rule["Arn"]):
            return "NO_PERMISSIONS", f"events.amazonaws.com may not invoke {name} for {rule['Arn']}"
    if ":sqs:" in arn:
        if sqs._queue_by_arn(arn) is None:
            return "NO_RESOURCE", f"The queue {arn} does not exist."
        if ":events:" in rule.get("Arn", "") and not queues.lets_in(arn, "events.amazonaws.com", rule["Arn"]):
            return "NO_PERMISSIONS", f"events.amazonaws.com may not send to {arn} for {rule['Arn']}"
    return None


def install() -> None:
    from ministack.services import eventbridge, lambda_svc, s3
    from ministack.services.cloudformation import changesets, handlers, stacks

    plain_add, plain_fire = stacks._add_event, s3._fire_s3_event
    plain_dispatch, plain_invoke = eventbridge._dispatch_event, eventbridge._invoke_target

    def add_event(stack_id, *args, **kwargs):
        plain_add(stack_id, *args, **kwargs)
        from ministack.services.cloudformation import _stack_events
        stack_event(_stack_events[stack_id][-1])

    def fire_s3_event(*args, **kwargs):
        token = _version_id.set(kwargs.get("version_id"))
        try:
            plain_fire(*args, **kwargs)
        finally:
            _version_id.reset(token)

    def dispatch(event, view=None):
        if event.get("Source") == "aws.s3":
            _complete_s3(event)
            view = None
        SENT.append({key: event.get(key) for key in ("Source", "DetailType", "Detail", "Resources", "Time")})
        fault = faults.take("event", lambda f: f.get("do") != "undeliverable",
                            detail_type=event.get("DetailType", ""), text=str(event.get("Detail")))
        act = fault.get("do") if fault else None
        if act == "drop":
            log.info("dropped by order: %s", event.get("DetailType"))
        elif act == "delay":
            context = contextvars.copy_context()
            threading.Timer(float(fault.get("seconds", 1)), context.run, (plain_dispatch, event)).start()
        else:
            plain_dispatch(event, view)
            if act == "double":
                plain_dispatch(event, view)

    def invoke_target(target, event, rule, view=None):
        obstacle = _obstacle(target, rule, event)
        if obstacle is None:
            return plain_invoke(target, event, rule, view)
        dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
        log.warning("not delivered to %s: %s", target.get("Arn"), obstacle)
        if dead_letters:
            body = json.dumps((view or eventbridge._pattern_event_view(event)).event_with_detail())
            queues.send(dead_letters, body, {
                "ERROR_CODE": obstacle[0], "ERROR_MESSAGE": obstacle[1], "RULE_ARN": rule.get("Arn", ""),
                "TARGET_ARN": target.get("Arn", "")})
        return None

    def to_lambda(arn, payload):
        function, config, _ = lambda_svc._get_func_record_for_ref(arn)
        lambda_svc.invoke_async_with_retry(
            lambda_svc._execution_record_for_config(function, config), json.loads(payload))

    for module in (stacks, handlers, changesets):
        module._add_event = add_event
    s3._fire_s3_event = fire_s3_event
    eventbridge._dispatch_event = dispatch
    eventbridge._invoke_target = invoke_target
    eventbridge._dispatch_to_lambda = to_lambda
