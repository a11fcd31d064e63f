"""What a call asks for: pairs of action and resource that must all be allowed, with the condition keys of that pair.

LocalEmu asks one question for each call. AWS asks more for some, and these are the ones that our policies speak of.
https://docs.aws.amazon.com/service-authorization/latest/reference/ (chapters S3, CloudFormation, SES, EC2 Auto Scaling)
"""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlparse

from localemu.services.iam_enforcement.arn_builder import build_resource_arn
from localemu.services.iam_enforcement.service_action_map import map_action

from . import groups


@dataclass
class Ask:
    action: str
    resource: str
    # On top of the keys that every pair of the call has.
    keys: dict = field(default_factory=dict)


def asks(service: str, operation: str, params: dict, region: str, account: str) -> list[Ask]:
    special = _SPECIAL.get((service, operation))
    if special:
        return special(params, region, account)
    resource = build_resource_arn(service, operation, params, region, account)
    return [Ask(action, resource) for action in map_action(service, operation)]


def _object(params: dict) -> str:
    return f"arn:aws:s3:::{params['Bucket']}/{params['Key']}"


def _versioned(action: str):
    def of(params, _region, _account):
        version = "Version" if params.get("VersionId") else ""
        return [Ask(f"s3:{action}{version}", _object(params))]

    return of


def _put(params, _region, _account):
    found = [Ask("s3:PutObject", _object(params))]
    if params.get("Tagging"):
        found.append(Ask("s3:PutObjectTagging", _object(params)))
    if any(params.get(name) for name in ("ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP")):
        found.append(Ask("s3:PutObjectAcl", _object(params)))
    return found


def _copy(params, region, account):
    source, _, version = params["CopySource"].lstrip("/").partition("?versionId=")
    read = Ask("s3:GetObjectVersion" if version else "s3:GetObject", f"arn:aws:s3:::{unquote(source)}")
    return [read, *_put(params, region, account)]


def _delete_many(params, region, account):
    found = []
    for item in params["Delete"]["Objects"]:
        found += _versioned("DeleteObject")({"Bucket": params["Bucket"], **item}, region, account)
    return found


def _create_stack(params, region, account):
    stack = build_resource_arn("cloudformation", "CreateStack", params, region, account)
    found = [Ask("cloudformation:CreateStack", stack)]
    if params.get("Tags"):
        found.append(Ask("cloudformation:TagResource", stack, {"cloudformation:CreateAction": "CreateStack"}))
    if role := params.get("RoleARN"):
        found.append(Ask("iam:PassRole", role, {"iam:PassedToService": "cloudformation.amazonaws.com"}))
    if url := params.get("TemplateURL"):
        found.append(Ask("s3:GetObject", f"arn:aws:s3:::{_bucket_and_key(url)}"))
    return found


def _bucket_and_key(url: str) -> str:
    """Both forms of an address: https://s3.REGION.HOST/BUCKET/KEY and https://BUCKET.s3.REGION.HOST/KEY."""
    parts = urlparse(url)
    bucket, dot, _ = (parts.hostname or "").partition(".s3.")
    return f"{bucket}{parts.path}" if dot else unquote(parts.path.lstrip("/"))


def _send_email(params, region, account):
    sender = params["Source"].rpartition("<")[2].rstrip(">")
    return [Ask("ses:SendEmail", f"arn:aws:ses:{region}:{account}:identity/{sender}")]


def _of_group(action: str):
    return lambda params, region, account: [Ask(f"autoscaling:{action}", groups.arn(params, region, account))]


_SPECIAL = {
    **{("autoscaling", action): _of_group(action) for action in (*groups.BY_NAME, *groups.BY_INSTANCE)},
    ("s3", "GetObject"): _versioned("GetObject"),
    ("s3", "HeadObject"): _versioned("GetObject"),
    ("s3", "DeleteObject"): _versioned("DeleteObject"),
    ("s3", "DeleteObjects"): _delete_many,
    ("s3", "PutObject"): _put,
    ("s3", "CreateMultipartUpload"): _put,
    ("s3", "CopyObject"): _copy,
    ("s3", "UploadPartCopy"): _copy,
    ("cloudformation", "CreateStack"): _create_stack,
    ("ses", "SendEmail"): _send_email,
}
