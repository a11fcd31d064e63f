"""Remembers every verdict, so that a test can ask what a function was refused: GET /_clusterdrop/decisions?caller=TEXT"""

import json

_NOTED: list[dict] = []


def note(caller: str, ask, allowed: bool) -> None:
    _NOTED.append({"caller": caller, "action": ask.action, "resource": ask.resource, "allowed": allowed})


def install() -> None:
    from localemu.http import Response
    from localemu.services.edge import ROUTER

    def show(request, **_):
        caller = request.args.get("caller", "")
        found = [entry for entry in _NOTED if caller in entry["caller"]]
        return Response(json.dumps({"decisions": found}), mimetype="application/json")

    ROUTER.add("/_clusterdrop/decisions", show)
