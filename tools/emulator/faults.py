"""The faults that a test has ordered, and which of them applies now. How each is acted out lives where it happens."""

import itertools
import threading
from dataclasses import dataclass

# kind -> (fields that must all be contained in what happens, how often by default (None is for ever), other fields)
KINDS = {
    "resource": (("stack", "resource"), None, ("on", "reason", "after")),
    "node": (("stack",), None, ("signal", "after", "timeout")),
    "pace": (("stack",), None, ("total", "each", "resource", "on")),
    "launch": (("group",), None, ("do", "market", "seconds", "reason", "least", "limit")),
    "interruption": (("group", "instance"), 1, ("seconds",)),
    "call": (("call", "caller", "text"), 1, ("error", "status", "message", "when", "kill", "delay", "hold")),
    "function": (("function", "text"), 1, ("do", "reason")),
    "event": (("detail_type", "text", "function"), 1, ("do", "seconds", "error", "reason")),
}
# kind -> what it may have done
DEEDS = {"function": ("crash", "error", "lose"), "event": ("drop", "double", "delay", "undeliverable"),
         "launch": ("no-capacity", "unfulfillable", "quota", "price", "not-offered", "dies")}


class BadFault(ValueError):
    """An order that cannot be understood; the message is for the test's author."""


@dataclass
class Fault:
    id: int
    kind: str
    order: dict
    left: int | None
    skip: int = 0
    hits: int = 0

    def __getitem__(self, key):
        return self.order[key]

    def get(self, key, default=None):
        return self.order.get(key, default)

    def public(self) -> dict:
        return {**self.order, "id": self.id, "left": self.left, "hits": self.hits}


_lock = threading.Lock()
_ids = itertools.count(1)
_faults: list[Fault] = []


def add(order: dict) -> Fault:
    kind = order.get("kind")
    if kind not in KINDS:
        raise BadFault(f"kind must be one of {', '.join(KINDS)}; it is {kind!r}")
    wanted, _, others = KINDS[kind]
    unknown = set(order) - {"kind", "times", "skip", *wanted, *others}
    if unknown:  # a misspelt choice would match everything
        raise BadFault(f"a fault of kind {kind} has no {', '.join(sorted(unknown))}")
    if "do" in order and order["do"] not in DEEDS[kind]:  # it would count as done, and do nothing
        raise BadFault(f"do must be one of {', '.join(DEEDS[kind])}; it is {order['do']!r}")
    if kind == "launch" and ("do" in order) == ("seconds" in order):  # a launch is slow, or it fails
        raise BadFault("a fault of kind launch has either do or seconds")
    if order.get("market", "spot") not in ("spot", "on-demand"):
        raise BadFault(f"market must be spot or on-demand; it is {order['market']!r}")
    times = order.get("times", KINDS[kind][1])
    if times is not None and (not isinstance(times, int) or times < 1):
        raise BadFault(f"times must be a whole number of at least 1, or null; it is {times!r}")
    fault = Fault(next(_ids), kind, dict(order), times, int(order.get("skip", 0)))
    with _lock:
        _faults.append(fault)
    return fault


def pace(stack: str, resource: str, on: str) -> float | None:
    """How long this resource is to take, where a test has said so."""
    fault = take("pace", lambda f: "each" in f.order and f.get("on", "create") == on
                 and f.get("resource", resource) == resource, stack=stack)
    return float(fault["each"]) if fault else None


def stands(fault: Fault) -> bool:
    """Whether it was not cleared yet."""
    with _lock:
        return fault in _faults


def listing() -> list[dict]:
    with _lock:
        return [fault.public() for fault in _faults]


def clear(fault_id: int | None = None) -> None:
    with _lock:
        _faults[:] = [] if fault_id is None else [f for f in _faults if f.id != fault_id]


def take(kind: str, accept=None, **facts: str) -> Fault | None:
    """The first living fault whose wanted texts are all contained in the facts; it is used up by one."""
    wanted = KINDS[kind][0]
    with _lock:
        for fault in _faults:
            if fault.kind != kind or fault.left == 0:
                continue
            if any(str(fault.order[key]) not in facts.get(key, "") for key in wanted if key in fault.order):
                continue
            if accept is not None and not accept(fault):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            if fault.left is not None:
                fault.left -= 1
            return fault
    return None
