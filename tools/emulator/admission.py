"""What CreateStack refuses, and what it remembers: parameters, capabilities, names in use, tokens, roles, tags.

MiniStack is lenient here, and a test that passes on leniency proves nothing.
"""

import re

from emulator import settings

_tokens: dict[tuple, dict[str, str]] = {}  # (account, region, stack name) -> token -> stack id, also after deletion
DEBIAN = {"amd64": "ami-0d130000000000a64", "arm64": "ami-0d130000000000a12"}
_VIRTUAL_HOST = re.compile(r"^https://([a-z0-9][a-z0-9.-]+)\.s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com/(.+)$")


def _refusal(params: dict, name: str) -> tuple | None:
    from ministack.services import iam
    from ministack.services.cloudformation import helpers

    for number, tag in enumerate(helpers._extract_members(params, "Tags"), 1):
        if not tag["Value"]:
            return helpers._error("ValidationError", (
                f"1 validation error detected: Value '' at 'tags.{number}.member.value' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"))
    role = helpers._p(params, "RoleARN")
    if role:
        found = next((r for r in iam._roles.values() if r.get("Arn") == role), None)
        if found is None or "cloudformation.amazonaws.com" not in str(found.get("AssumeRolePolicyDocument")):
            return helpers._error("ValidationError", f"Role {role} is invalid or cannot be assumed")
    return None


def _create(plain, params: dict) -> tuple:
    from ministack.core.responses import get_account_id, get_region
    from ministack.services.cloudformation import _stacks, helpers

    name, token = helpers._p(params, "StackName"), helpers._p(params, "ClientRequestToken")
    used = _tokens.setdefault((get_account_id(), get_region(), name), {})
    living = _stacks.get(name)
    if living is not None and token and used.get(token) == living["StackId"]:
        return helpers._xml(200, "CreateStackResponse",
                            f"<CreateStackResult><StackId>{living['StackId']}</StackId></CreateStackResult>")
    if living is not None:
        return helpers._error("AlreadyExistsException", f"Stack [{name}] already exists")
    if token in used:
        return helpers._error("TokenAlreadyExistsException", f"The client request token {token} has already been used "
                              "for this stack. Retry the request with a different client request token")
    answer = _refusal(params, name) or plain(params)
    if answer[0] == 200:
        made = _stacks[name]
        if token:
            used[token] = made["StackId"]
        minutes = helpers._p(params, "TimeoutInMinutes")
        made["RoleARN"] = helpers._p(params, "RoleARN") or None
        made["_on_failure"] = helpers._p(params, "OnFailure")
        made["TimeoutInMinutes"] = minutes or None
        made["_timeout_seconds"] = float(minutes) * 60 * settings.TIMEOUT_SCALE if minutes else None
        made["NotificationARNs"] = helpers._extract_string_members(params, "NotificationARNs")
        for shown in made["Parameters"]:  # AWS shows the name of a Systems Manager parameter here
            value = made["_resolved_params"][shown["ParameterKey"]]
            shown["ParameterValue"] = value.get("SsmName", value["Value"])
        del made["LastUpdatedTime"]  # AWS has none before the first update
    return answer


def _resolve_parameters(plain, template: dict, provided: list, previous: dict | None = None) -> dict:
    known = template.get("Parameters", {})
    unknown = [p["Key"] for p in provided if p.get("Key") not in known]
    if unknown:
        raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    given = {p["Key"] for p in provided}
    missing = [key for key, spec in known.items() if key not in given and "Default" not in spec]
    if missing:
        raise ValueError(f"Parameters: [{', '.join(missing)}] must have values")
    template = {**template, "Parameters": {
        key: _checked_by_name(key, spec, provided) for key, spec in known.items()}}
    try:
        return plain(template, provided, previous)
    except ValueError as error:
        outside = re.match(r"Parameter '(\w+)' value .* is not in AllowedValues", str(error), re.S)
        if outside:
            raise ValueError(f"Parameter '{outside[1]}' must be one of AllowedValues") from None
        raise


def _checked_by_name(key: str, spec: dict, provided: list) -> dict:
    """AWS checks the name of a Systems Manager parameter against the constraints, not what it stands for."""
    from ministack.services.cloudformation import engine

    if not str(spec.get("Type", "")).startswith("AWS::SSM::Parameter::Value"):
        return spec
    name = next((p.get("Value") for p in provided if p["Key"] == key and not p.get("UsePreviousValue")),
                spec.get("Default", ""))
    if "AllowedValues" in spec and name not in spec["AllowedValues"]:
        raise ValueError(f"Parameter '{key}' must be one of AllowedValues")
    engine._check_parameter_constraints(key, spec, "String", name)
    return {field: value for field, value in spec.items() if not field.startswith(("Allowed", "Min", "Max"))}


def install() -> None:
    from ministack.services import ssm
    from ministack.services.cloudformation import changesets, engine, handlers, helpers

    plain_create, plain_resolve = handlers._create_stack, engine._resolve_parameters
    plain_document = helpers._resolve_document

    def resolve(template, provided_params, previous_params=None):
        return _resolve_parameters(plain_resolve, template, provided_params, previous_params)

    def document(params, body_key, url_key, label):
        """AWS's own form of an object's URL, with the bucket in the host name, is understood as well."""
        split = _VIRTUAL_HOST.match(helpers._p(params, url_key))
        if split:
            params = {**params, url_key: [f"https://s3.amazonaws.com/{split[1]}/{split[2]}"]}
        body, error = plain_document(params, body_key, url_key, label)
        if error and b" not found at " in error[2]:  # AWS passes on what S3 says
            error = helpers._error("ValidationError", "S3 error: The specified key does not exist.")
        return body, error

    handlers._ACTION_HANDLERS["CreateStack"] = lambda params: _create(plain_create, params)
    handlers._capabilities_enforced = lambda: True
    for module in (engine, handlers, changesets):
        module._resolve_parameters = resolve
    helpers._resolve_document = handlers._resolve_document = document
    for architecture in ("x86_64", "arm64"):
        for kernel in ("default", "6.1", "6.12"):
            name = f"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-{kernel}-{architecture}"
            ssm._PUBLIC_AMI_PARAMETERS.setdefault(name, f"ami-0c2023{architecture[:3].encode().hex()}b2c3d")
    # As public templates resolve them; Debian has dated ones beside `latest`.
    for architecture, image in DEBIAN.items():
        ssm._PUBLIC_AMI_PARAMETERS[f"/aws/service/debian/release/13/latest/{architecture}"] = image
