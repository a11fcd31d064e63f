"""The condition keys of a call: LocalEmu's global ones, corrected, and those of the services that our policies name."""

from localemu.services.cloudformation.stores import get_cloudformation_store
from localemu.services.iam_enforcement import enforcer

from . import groups


def keys(context, caller, resource: str) -> dict:
    # LocalEmu looks for the resource's tags by this.
    context._iam_resource_arn = resource
    found = enforcer._build_conditions(context, caller)
    found["aws:PrincipalIsAWSService"] = "false"
    if caller.principal_type == "AssumedRole":
        found["aws:PrincipalArn"] = role_arn(caller)
    if caller.principal_type != "User":
        found.pop("aws:username", None)
    params = context.service_request or {}
    of_service = _SERVICES.get(context.service.service_name, lambda *_: {})
    found.update(of_service(context, params, resource))
    return found


def role_arn(caller) -> str:
    """For a role's session, aws:PrincipalArn is the role's ARN, not the session's.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    from moto.iam.models import iam_backends

    roles = iam_backends[caller.account_id]["global"].roles.values()
    return next((role.arn for role in roles if role.name == caller.role_name), caller.arn)


def _s3(context, params, _resource) -> dict:
    if not context.operation.name.startswith("ListObject"):
        return {}
    names = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"}
    return {key: str(params[name]) for name, key in names.items() if params.get(name) is not None}


def _cloudformation(context, params, resource) -> dict:
    names = {"TemplateURL": "cloudformation:TemplateUrl", "RoleARN": "cloudformation:RoleArn"}
    found = {key: params[name] for name, key in names.items() if params.get(name)}
    tags = _stack_tags(context, resource)
    return found | {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in tags}


def _stack_tags(context, resource: str) -> list:
    """The resource is a stack's id, or, where the call named the stack, ends in "stack/NAME/*"."""
    stacks = get_cloudformation_store(context.account_id, context.region).stacks_v2.values()
    name = resource.partition(":stack/")[2].removesuffix("/*")
    for stack in stacks:
        if stack.stack_id == resource or (stack.stack_name == name and stack.status != "DELETE_COMPLETE"):
            return stack.tags or []
    return []


def _autoscaling(context, _params, resource) -> dict:
    found = groups.tags(resource, context.region, context.account_id)
    return {f"{prefix}:ResourceTag/{key}": value for key, value in found.items() for prefix in ("autoscaling", "aws")}


def _ses(_context, params, _resource) -> dict:
    to = params.get("Destination") or {}
    recipients = [a for name in ("ToAddresses", "CcAddresses", "BccAddresses") for a in to.get(name) or []]
    sender = params.get("Source")
    found = {"ses:Recipients": recipients} if recipients else {}
    return found | ({"ses:FromAddress": sender.rpartition("<")[2].rstrip(">")} if sender else {})


_SERVICES = {"autoscaling": _autoscaling, "s3": _s3, "cloudformation": _cloudformation, "ses": _ses}
