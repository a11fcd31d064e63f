"""Every invocation of a function: what woke it, which AWS calls it made, how long it took, how large its process became.

A call is known as an invocation's by X-Amzn-Trace-Id: Lambda gives each invocation an id of its own, and AWS's SDKs send it
with every call. MiniStack gives one only where tracing is on.
"""

import collections
import itertools
import logging
import re
import time

log = logging.getLogger("emulator.invocations")
LOG: collections.deque = collections.deque(maxlen=20000)
_numbers = itertools.count(1)
_running: dict[int, tuple[dict, object]] = {}  # by number: what is told of it, and who runs it
_TRACE = re.compile(r"Root=1-00000000-([0-9a-f]{24})")


def _of(headers: dict) -> tuple[dict, object] | None:
    """The invocation that makes a call."""
    found = _TRACE.search(headers.get("x-amzn-trace-id", ""))
    return _running.get(int(found[1], 16)) if found else None


def note(headers: dict, call: dict) -> None:
    """Add a call to the invocation that makes it."""
    if found := _of(headers):
        found[0]["calls"].append(call)


def kill(headers: dict) -> None:
    """End the process that makes a call, as a failing host would; others that run the same function live on."""
    found = _of(headers)
    process = found and found[1]._proc
    if process is None:
        log.warning("nobody is killed: the call is no running invocation's")
    else:
        process.kill()


def _woken_by(event: dict) -> dict:
    """In a word, and what about."""
    records = event.get("Records") or []
    if records and records[0].get("eventSource") == "aws:sqs":
        return {"by": records[0].get("eventSourceARN", "").rpartition(":")[2], "about": len(records)}
    if records:
        return {"by": "S3", "about": (records[0].get("s3", {}).get("object") or {}).get("key")}
    detail = event.get("detail") or {}
    about = (detail.get("object") or {}).get("key") or (detail.get("status-details") or {}).get("status")
    return {"by": event.get("detail-type") or event.get("clusterdrop") or event.get("RequestType") or "?", "about": about}


def _peak_kib(worker) -> int | None:
    """The most memory that the process ever had resident; Linux alone tells."""
    try:
        with open(f"/proc/{worker._proc.pid}/status", encoding="ascii") as status:
            return int(re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.MULTILINE)[1])
    except (OSError, AttributeError, TypeError):
        return None


def install() -> None:
    from ministack.core.lambda_runtime import ProvidedWorker

    plain_invoke, plain_result = ProvidedWorker.invoke, ProvidedWorker._record_result

    def invoke(worker, event, request_id, *, trace_id=None, **more):
        cold = worker._proc is None or worker._proc.poll() is not None
        number = next(_numbers)
        entry = {"n": number, "function": worker.func_name, **_woken_by(event if isinstance(event, dict) else {}),
                 "cold": cold, "at": round(time.time(), 3), "ms": None, "error": None, "peak_kib": None, "calls": []}
        LOG.append(entry)
        _running[number] = entry, worker
        worker._begun, worker._ended = time.monotonic(), None
        try:
            result = plain_invoke(worker, event, request_id, trace_id=f"Root=1-00000000-{number:024x};Sampled=0", **more)
            entry["error"] = result.get("error")
            return result
        finally:
            # MiniStack waits a while for the last lines of the log; a function's time ends with its answer.
            entry["peak_kib"] = _peak_kib(worker)
            entry["ms"] = round(((worker._ended or time.monotonic()) - worker._begun) * 1000, 1)
            _running.pop(number, None)

    def record_result(worker, *args):
        taken = plain_result(worker, *args)
        if taken:
            worker._ended = time.monotonic()
        return taken

    ProvidedWorker.invoke, ProvidedWorker._record_result = invoke, record_result
