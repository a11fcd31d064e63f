"""Lambda: asynchronous invocations as AWS retries them, who a function is, and functions that fail by order.

MiniStack counts a throttled event as a failed try and gives up after three; AWS keeps it, for up to six hours.
"""

import contextvars
import datetime
import json
import logging
import threading
import time

from emulator import faults, queues, settings

log = logging.getLogger("emulator.functions")

THROTTLE_SECONDS = (0.1, 5.0)  # AWS backs off from one second to five minutes; a test has no such time
_PLAYED = {"error": "Unhandled", "crash": "Runtime.ExitError"}


def invoke_async(function: dict, event: dict) -> None:
    """Take an event as Lambda's own queue does: answered at once, tried up to three times, then sent on as failed."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_work_off, function, event), daemon=True).start()


def _work_off(function: dict, event: dict) -> None:
    from ministack.core.responses import new_uuid, set_request_account_id, set_request_region
    from ministack.services import lambda_svc

    config = function.get("config") or function
    account, region = lambda_svc._account_region_from_function_config(config)
    set_request_account_id(account)
    set_request_region(region)
    settings_of = (function.get("event_invoke_config")
                   or (function.get("event_invoke_configs") or {}).get("$LATEST") or {})
    retries = settings_of.get("MaximumRetryAttempts")
    retries = 2 if retries is None else int(retries)
    age_max = float(settings_of.get("MaximumEventAgeInSeconds") or 21600)
    started, tries, pause, result = time.time(), 0, THROTTLE_SECONDS[0], {}
    condition = "RetriesExhausted"
    while True:
        result = lambda_svc._execute_function(function, event)
        if not result.get("error"):
            return
        if result.get("throttle"):
            delay, pause = pause, min(pause * 2, THROTTLE_SECONDS[1])
        else:
            tries += 1
            log.info("%s failed (try %d): %s", config.get("FunctionName"), tries, result.get("body"))
            if tries > retries:
                break
            delay = settings.RETRY_SECONDS * 2 ** (tries - 1)
        if time.time() - started + delay > age_max:
            condition = "EventAgeExceeded"
            break
        time.sleep(delay)
    _give_up(config, settings_of, event, result, condition, tries, new_uuid())


def _give_up(config: dict, settings_of: dict, event: dict, result: dict, condition: str, tries: int, request: str):
    """The dead letter carries the bare event, the destination a record around it; a function may have both."""
    from ministack.services import lambda_svc

    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {
        "version": "1.0", "timestamp": now,
        "requestContext": {"requestId": request, "functionArn": f"{config.get('FunctionArn')}:$LATEST",
                           "condition": condition, "approximateInvokeCount": tries},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": result.get("body"),
    }
    dead_letters = (config.get("DeadLetterConfig") or {}).get("TargetArn")
    if dead_letters:
        body = result.get("body") or {}
        queues.send(dead_letters, json.dumps(event), {
            "RequestID": request, "ErrorCode": "200", "ErrorMessage": str(body.get("errorMessage", ""))})
    destination = ((settings_of.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination", "")
    if ":sqs:" in destination:
        if not queues.send(destination, json.dumps(record)):
            log.warning("failure of %s is lost: no queue %s", config.get("FunctionName"), destination)
    elif destination:
        lambda_svc._route_async_failure(destination, config.get("FunctionName"), event, result)


def end_all() -> None:
    """End every bootstrap at once; MiniStack's own reset waits two seconds for each of them to say goodbye."""
    from ministack.core import lambda_runtime

    for workers in list(lambda_runtime._workers.values()):
        for worker in workers:
            if worker._proc is not None:
                worker._proc.kill()


def install() -> None:
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    plain_execute, plain_credentials = lambda_svc._execute_function_dispatch, lambda_svc.execution_credentials

    def execute(function, config, event, *rest):
        name = config.get("FunctionName", "")
        fault = faults.take("function", function=name, text=json.dumps(event))
        act = fault.get("do", "crash") if fault else None
        if act in _PLAYED:
            reason = fault.get("reason", "ordered by a test")
            return {"body": {"errorMessage": reason, "errorType": _PLAYED[act]}, "error": True, "log": ""}
        result = plain_execute(function, config, event, *rest)
        if act == "lose":  # it did its work, and nobody heard
            return {"body": {"errorMessage": "lost by order", "errorType": "Unhandled"}, "error": True, "log": ""}
        return result

    def credentials(config):
        """The session token names the function, so that the log of calls can tell who called."""
        found = plain_credentials(config)
        if not found["AWS_SESSION_TOKEN"]:
            found["AWS_SESSION_TOKEN"] = f"function/{config.get('FunctionName', '')}"
        return found

    lambda_svc._execute_function_dispatch = execute
    lambda_svc.execution_credentials = lambda_runtime.execution_credentials = credentials
    lambda_svc.invoke_async_with_retry = invoke_async
