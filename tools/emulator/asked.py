"""What a call asks for, in the terms that IAM judges it by: the object, the stack and its tags, the recipients.

The log holds it for functions, so that every call of theirs can be put to their policies (tests/iam/calls.mjs).
"""

import collections
import contextvars
import json
import re
from urllib.parse import parse_qs

# Apart from the common log: that one forgets in favour of whoever polls, and is emptied by tests.
OF_FUNCTIONS: collections.deque = collections.deque(maxlen=200000)
_STACK_KEYS = {"StackName": "stack", "TemplateURL": "template", "RoleARN": "role"}


def asked(call: str, scope: dict, headers: dict, body: bytes) -> dict:
    """Empty where nothing is known of such calls: whoever judges them has to refuse then."""
    service, _, action = call.partition(".")
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    if service == "s3":
        bucket, _, key = scope["path"].lstrip("/").partition("/")
        found = {"bucket": bucket, "key": key}
        # S3 has to look at what is there before it writes or removes on a condition, and asks for the right to.
        if {"if-match", "if-none-match"} & set(headers):
            found["conditional"] = True
        return found | ({"prefix": query["prefix"][0]} if "prefix" in query else {})
    if service == "sqs":
        return {"queue": str(json.loads(body or b"{}").get("QueueUrl", "")).rpartition("/")[2]}
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    if service == "ses":
        recipients = [values[0] for key, values in form.items() if re.match(r"Destination\.\w+\.member\.", key)]
        return {"from": form.get("Source", [""])[0], "to": recipients}
    if service == "cloudformation":
        found = {word: form[key][0] for key, word in _STACK_KEYS.items() if key in form}
        tags = {form[key][0]: form.get(key[: -len("Key")] + "Value", [""])[0]
                for key in form if re.fullmatch(r"Tags\.member\.\d+\.Key", key)}
        if action == "CreateStack":
            return found | {"tags": tags}
        return found | _as_it_stands(found.get("stack", ""))
    return {}


def _as_it_stands(stack: str) -> dict:
    """The id and the tags that the stack has before the call."""
    from ministack.core.responses import set_request_account_id, set_request_region
    from ministack.services.cloudformation import handlers

    def look():
        if stack.startswith("arn:"):
            set_request_region(stack.split(":")[3])
            set_request_account_id(stack.split(":")[4])
        return handlers._resolve_stack(stack)

    known = contextvars.copy_context().run(look) if stack else None
    if not known:
        return {}
    return {"id": known["StackId"], "resource_tags": {tag["Key"]: tag["Value"] for tag in known.get("Tags") or []}}
