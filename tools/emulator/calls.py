"""AWS calls as they arrive: what they ask and who asks, their log, and faults that answer in AWS's stead."""

import asyncio
import collections
import itertools
import json
import os
import re
import time
from urllib.parse import parse_qs, unquote_plus

from emulator import asked, faults, invocations

OWNER = os.environ.get("MINISTACK_ACCOUNT_ID", "000000000000")
LOG: collections.deque = collections.deque(maxlen=20000)
_numbers = itertools.count(1)
HOLD_SECONDS_MAX = 20.0  # a function's own patience with a call is shorter still, unless a test gives it time
_JSON_SERVICES = {"lambda", "scheduler", "events", "logs", "ssm", "sqs", "tagging", "dynamodb", "secretsmanager"}
# IAM's word for an action is not always the API's; tests count calls by the API's.
_API_NAMES = {"lambda.InvokeFunction": "lambda.Invoke", "s3.ListAllMyBuckets": "s3.ListBuckets"}


def identify(scope: dict, headers: dict, body: bytes) -> tuple[str, str]:
    """(`service.Action`, who called)."""
    from ministack.core import iam_actions, router

    method, path = scope["method"], scope["path"]
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    service = router.detect_service(method, path, headers, query)
    try:
        action = iam_actions.extract_iam_action(service, method, path, headers, body, query) or ""
    except Exception:  # noqa: BLE001 (a hostile request still has to reach the service and be answered there)
        action = ""
    action = action.partition(":")[2] or headers.get("x-amz-target", "").rpartition(".")[2] or method
    if service == "s3":
        action = {("HEAD", "GetObject"): "HeadObject", ("HEAD", "ListBucket"): "HeadBucket",
                  ("GET", "ListBucket"): "ListObjectsV2" if "list-type" in query else "ListObjects",
                  }.get((method, action), action)
        action = "CopyObject" if "x-amz-copy-source" in headers and action == "PutObject" else action
        action = {"GetObjectVersion": "GetObject", "DeleteObjectVersion": "DeleteObject"}.get(action, action)
    if service == "ses":
        action = (query.get("Action") or parse_qs(body.decode("latin-1")).get("Action") or [action])[0]
    name = f"{service}.{action}"
    return _API_NAMES.get(name, name), _caller(headers, router.extract_access_key_id(headers, query))


def _caller(headers: dict, key: str) -> str:
    """`function/NAME` for a function, else the access key."""
    from ministack.services import lambda_svc, sts

    token = headers.get("x-amz-security-token", "")
    if token.startswith("function/"):
        return token
    # Under AUTH=true a function has a session of its role, named after it.
    session = str((sts._sessions.get(key) or {}).get("Arn", "")) if key.startswith("ASIA") else ""
    name = session.rpartition("/")[2]
    return f"function/{name}" if name in lambda_svc._functions else session or key or "anonymous"


def refusal(service: str, code: str, message: str, status: int) -> tuple[int, list, bytes]:
    """An error in the wire format of the service."""
    if service == "s3":
        kind = "application/xml"
        body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>ordered</RequestId></Error>"
    elif service in _JSON_SERVICES:
        kind = "application/x-amz-json-1.0"
        body = json.dumps({"__type": code, "message": message, "Message": message})
    elif service == "ec2":
        kind = "text/xml"
        body = (f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
                "<RequestID>ordered</RequestID></Response>")
    else:
        kind = "text/xml"
        body = (f"<ErrorResponse><Error><Type>{'Sender' if status < 500 else 'Receiver'}</Type><Code>{code}</Code>"
                f"<Message>{message}</Message></Error><RequestId>ordered</RequestId></ErrorResponse>")
    headers = [(b"content-type", kind.encode()), (b"x-amzn-errortype", code.encode())]
    return status, headers, body.encode()


async def read_body(receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def answer(send, status: int, headers: list, body: bytes, method: str = "GET") -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode()), (b"x-amzn-requestid", b"ordered")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def pass_on(app, scope, receive, send) -> None:
    """One AWS call through the log and the faults to MiniStack."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    body = await read_body(receive)
    call, caller = identify(scope, headers, body)
    raw = f"{scope['path']}?{scope.get('query_string', b'').decode('latin-1')}\n{body.decode('utf-8', 'replace')}"
    entry = {"n": next(_numbers), "at": round(time.time(), 3), "call": call, "caller": caller,
             "method": scope["method"], "path": scope["path"], "status": None, "fault": None,
             "owner": headers.get("x-amz-expected-bucket-owner")}
    entry.update(_subject(call, scope["path"], raw))
    LOG.append(entry)
    if caller.startswith("function/"):
        entry["asked"] = asked.asked(call, scope, headers, body)
        asked.OF_FUNCTIONS.append(entry)
        invocations.note(headers, entry)
    fault = faults.take("call", call=call, caller=caller, text=f"{raw}\n{unquote_plus(raw)}")
    # Every bucket that a test reaches is its caller's own; a key of 12 digits is an account by itself.
    owner = caller if re.fullmatch(r"\d{12}", caller) else OWNER
    if fault is None and headers.get("x-amz-expected-bucket-owner", owner) != owner:
        entry["status"] = 403  # MiniStack does not look at this header
        return await answer(send, *refusal("s3", "AccessDenied", "Access Denied", 403), scope["method"])
    if fault is None:
        return await _forward(app, scope, body, send, entry, receive)
    entry["fault"] = fault.id
    after = fault.get("when", "before") == "after"
    if not after:
        await _hold_up(fault)
    if after or "error" not in fault.order and "kill" not in fault.order:
        silent = after and ("error" in fault.order or fault.get("kill"))
        await _forward(app, scope, body, _ignore if silent else _late(send, fault if after else None), entry, receive)
        if not silent:
            return None
    if fault.get("kill"):
        invocations.kill(headers)
    code = fault.get("error", "InternalFailure")
    status = int(fault.get("status", 500 if fault.get("kill") else 400))
    entry["status"] = status
    await answer(send, *refusal(call.partition(".")[0], code, fault.get("message", "ordered by a test"), status),
                 scope["method"])


def _subject(call: str, path: str, raw: str) -> dict:
    """What the call is about, where one word says it: the stack, or the object."""
    stack = re.search(r"(?:^|[&\n?])StackName=([^&\n]+)", raw) if call.startswith("cloudformation.") else None
    return {"stack": unquote_plus(stack[1])} if stack else {}


async def _hold_up(fault) -> None:
    """For a time, or until the test takes the fault back."""
    await asyncio.sleep(float(fault.get("delay", 0)))
    until = time.monotonic() + HOLD_SECONDS_MAX
    while fault.get("hold") and faults.stands(fault) and time.monotonic() < until:
        await asyncio.sleep(0.02)


def _late(send, fault):
    """An answer that is on its way for a while: what it tells may not be so any more when it arrives."""

    async def wait_and_send(message):
        if fault is not None and message["type"] == "http.response.start":
            await _hold_up(fault)
        await send(message)

    return wait_and_send


async def _ignore(message) -> None:
    """Where an answer goes that nobody is to hear."""


async def _forward(app, scope, body, send, entry, receive) -> None:
    sent = False

    async def replay():
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def watch(message):
        if message["type"] == "http.response.start":
            entry["status"] = message["status"]
        await send(message)

    await app(scope, replay, watch)
