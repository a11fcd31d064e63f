"""Judges each call: who calls, what it asks for, with which condition keys. LocalEmu's evaluator gives the verdict."""

from localemu.aws.api import CommonServiceException
from localemu.services.iam_enforcement import enforcer
from localemu.services.iam_enforcement.evaluator import Decision
from localemu.services.iam_enforcement.identity import resolve_caller
from localemu.services.s3.models import s3_stores

from . import decisions
from .asks import Ask, asks
from .context import keys


def _judge(handler, context, caller, ask: Ask) -> bool:
    service = ask.action.partition(":")[0]
    policy = enforcer._get_resource_policy(service, ask.resource, context.account_id, context.region)
    conditions = keys(context, caller, ask.resource) | ask.keys
    decision = handler.evaluator.evaluate(
        caller=caller, action=ask.action, resource=ask.resource, conditions=conditions, resource_policy=policy
    )
    return decision == Decision.ALLOW


def _require(handler, context, caller, ask: Ask) -> None:
    allowed = _judge(handler, context, caller, ask)
    decisions.note(caller.arn, ask, allowed)
    if not allowed:
        message = f"User: {caller.arn} is not authorized to perform: {ask.action} on resource: {ask.resource}"
        raise CommonServiceException(code="AccessDenied", message=message, status_code=403)


def _hidden(context) -> Ask | None:
    """Whoever may not list a bucket is told 403 of an object that is not there.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Permissions"
    """
    if context.service.service_name != "s3" or context.operation.name not in ("GetObject", "HeadObject"):
        return None
    name, key = context.service_request["Bucket"], context.service_request["Key"]
    bucket = s3_stores[context.account_id]["us-east-1"].buckets.get(name)
    if bucket is None:
        return None
    # A marker of a deletion has no ETag.
    there = getattr(bucket.objects.get(key), "etag", None)
    return None if there else Ask("s3:ListBucket", f"arn:aws:s3:::{name}")


def judge_call(handler, _chain, context, _response) -> None:
    if not context.service or not context.operation:
        return
    service, operation = context.service.service_name, context.operation.name
    if f"{service}:{operation}" in enforcer._EXEMPT_ACTIONS:
        return
    key = enforcer._extract_access_key(context)
    if handler._is_internal_call(context, key):
        return
    caller = resolve_caller(key, context.account_id, context.region)
    if not caller:
        raise CommonServiceException(code="InvalidClientTokenId", message="The security token is invalid", status_code=403)
    if caller.principal_type == "Root":
        return
    for ask in asks(service, operation, context.service_request or {}, context.region, context.account_id):
        _require(handler, context, caller, ask)
    if hidden := _hidden(context):
        _require(handler, context, caller, hidden)


def install() -> None:
    enforcer.IAMEnforcementHandler.__call__ = judge_call
