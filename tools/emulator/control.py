"""The tests' own endpoint, `/_clusterdrop/...` on the port of AWS: faults, calls, events. See README.md."""

import json
from urllib.parse import parse_qs

from emulator import asked, bus, calls, faults, invocations, machines, metadata, schedules
from emulator.scaling import interruptions

PREFIX = "/_clusterdrop/"


def app(ministack_app):
    """MiniStack's ASGI application with ours in front of it."""

    async def front(scope, receive, send):
        if scope["type"] != "http" or scope["path"].startswith("/_ministack/"):
            return await ministack_app(scope, receive, send)
        if scope["path"].startswith(PREFIX):
            return await _control(scope, receive, send)
        # No TLS on this wire, but AWS has no other: policies that ask for it (aws:SecureTransport) are to hold here too.
        return await calls.pass_on(ministack_app, {**scope, "scheme": "https"}, receive, send)

    return front


async def _control(scope, receive, send) -> None:
    body = await calls.read_body(receive)
    query = {key: values[0] for key, values in parse_qs(scope.get("query_string", b"").decode()).items()}
    what, _, rest = scope["path"].removeprefix(PREFIX).partition("/")
    if what == "metadata":
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, told, text = metadata.answer(scope["method"], rest, headers)
        return await calls.answer(send, status, [(name.encode(), value.encode()) for name, value in told.items()], text)
    try:
        given = json.loads(body) if body else {}
        found = _ROUTES.get((scope["method"], what))
        if found is None:
            status, answer = 404, {"error": f"no such thing: {scope['method']} {scope['path']}"}
        else:
            status, answer = 200, found(given, query, rest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        status, answer = 400, {"error": str(error)}
    return await calls.answer(send, status, [(b"content-type", b"application/json")], json.dumps(answer).encode() + b"\n")


def _add_fault(given, query, rest):
    fault = faults.add(given)
    interruptions.look()
    return fault.public()


def _clear_faults(given, query, rest):
    faults.clear(int(rest) if rest else None)
    return {}


def _calls(given, query, rest):
    wanted = {key: query[key] for key in ("call", "caller", "path", "stack") if key in query}
    found = [entry for entry in calls.LOG if all(text in str(entry.get(key, "")) for key, text in wanted.items())]
    found = [entry for entry in found if entry["n"] > int(query.get("after", 0))]
    return {"count": len(found), "calls": found}


def _clear(log):
    def clear(given, query, rest):
        log.clear()
        return {}
    return clear


def _events(given, query, rest):
    wanted = query.get("text", "")
    return {"events": [{**e, "Detail": json.loads(e["Detail"])} for e in bus.SENT
                       if wanted in e["Detail"] and query.get("detail_type", "") in (e["DetailType"] or "")]}


def _send_event(given, query, rest):
    bus.publish(given["source"], given["detail-type"], given["detail"], given.get("resources", []))
    return {}


def _take_function_calls(given, query, rest):
    """Gives them and forgets them in one, so that none falls in between."""
    taken = [asked.OF_FUNCTIONS.popleft() for _ in range(len(asked.OF_FUNCTIONS))]
    return {"count": len(taken), "calls": taken}


def _invocations(given, query, rest):
    found = [entry for entry in list(invocations.LOG) if query.get("function", "") in entry["function"]]
    return {"invocations": [entry for entry in found if entry["n"] > int(query.get("after", 0))]}


_ROUTES = {
    ("GET", "ready"): lambda *_: {"ready": True},
    ("GET", "machines"): lambda given, query, rest: {"machines": machines.listing(query.get("user"))},
    ("GET", "faults"): lambda *_: {"faults": faults.listing()},
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "calls"): _calls,
    ("GET", "function-calls"): lambda *_: {"count": len(asked.OF_FUNCTIONS), "calls": list(asked.OF_FUNCTIONS)},
    ("DELETE", "function-calls"): _take_function_calls,
    ("DELETE", "calls"): _clear(calls.LOG),
    ("GET", "invocations"): _invocations,
    ("GET", "events"): _events,
    ("POST", "events"): _send_event,
    ("DELETE", "events"): _clear(bus.SENT),
    ("POST", "fire"): lambda given, query, rest: {"fired": schedules.fire(given["schedule"])},
}
