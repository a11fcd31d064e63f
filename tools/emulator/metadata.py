"""The metadata of each instance, below `/_clusterdrop/metadata/INSTANCE/latest/`. A node's AWS_EC2_METADATA_SERVICE_ENDPOINT is the part
before `/latest`; a test bed forwards 169.254.169.254 there.

MiniStack's own, at `/latest/`, are those of one instance that is none of ours. Keys that come from here are a session of the instance's
role, named after the instance, as on AWS: under AUTH=true they may what the role may, and the log of calls names the instance.
"""

import base64
import json
import re
import time

from emulator.scaling import interruptions

KEYS_SECONDS = 6 * 3600


TTL = "x-aws-ec2-metadata-token-ttl-seconds"


def answer(method: str, path: str, headers: dict) -> tuple[int, dict, bytes]:
    """`path` is INSTANCE/latest/… . A token says for how long it holds, which the SDKs insist on."""
    status, text = _answer(method, path, headers)
    is_token = status == 200 and path.rstrip("/").endswith("/latest/api/token")
    return status, {"content-type": "text/plain", **({TTL: headers[TTL]} if is_token else {})}, text


def _answer(method: str, path: str, headers: dict) -> tuple[int, bytes]:
    from ministack.services import imds

    instance_id, _, path = path.partition("/")
    instance = _find(instance_id)
    if instance is None or instance["State"]["Name"] == "terminated":
        return 404, f"no instance {instance_id} runs here".encode()
    path = path.rstrip("/")
    if path == "latest/api/token":
        if method != "PUT" or not headers.get(TTL, "").isdigit():
            return 400, b"Bad Request"
        return 200, imds._issue_token(headers)[2]
    token = headers.get("x-aws-ec2-metadata-token")
    if not imds._check_token(headers) or (instance["_metadata"].get("HttpTokens") == "required" and not token):
        return 401, b"Unauthorized"
    if method != "GET":
        return 405, b"Method Not Allowed"
    found = _leaf(instance, path)
    return (404, b"Not Found") if found is None else (200, found.encode())


def _find(instance_id: str) -> dict | None:
    """Of any account and Region, which are the caller's from here on."""
    from ministack.core.responses import set_request_account_id, set_request_region
    from ministack.services import ec2

    for (account, region, known), instance in list(ec2._instances.all_items()):
        if known == instance_id:
            set_request_account_id(account)
            set_request_region(region)
            return instance
    return None


def _leaf(instance: dict, path: str) -> str | None:
    if path == "latest/user-data":
        return base64.b64decode(instance.get("UserData", "")).decode("utf-8", "replace") or None
    if path == "latest/dynamic/instance-identity/document":
        return json.dumps(_document(instance))
    name = path.removeprefix("latest/meta-data/")
    if name == path:
        return None
    if name in ("spot/instance-action", "spot/termination-time"):
        end = interruptions.notice(instance["InstanceId"])
        return end and (end if name.endswith("time") else json.dumps({"action": "terminate", "time": end}))
    if name.startswith("iam/"):
        return _iam(instance, name)
    return _flat(instance).get(name) or None


def _flat(instance: dict) -> dict[str, str]:
    from ministack.services import ec2

    zone = instance["Placement"]["AvailabilityZone"]
    # A locally administered address, as EC2's are, of the digits that make the instance's id its own.
    mac = ":".join(["02", *re.findall("..", instance["InstanceId"][-10:])])
    return {
        "mac": mac, f"network/interfaces/macs/{mac}/vpc-ipv4-cidr-blocks": ec2._vpcs.get(instance["VpcId"], {}).get("CidrBlock", ""),
        "ami-id": instance["ImageId"], "instance-id": instance["InstanceId"], "instance-type": instance["InstanceType"],
        "instance-life-cycle": instance["_market"], "local-ipv4": instance["PrivateIpAddress"],
        "public-ipv4": instance["PublicIpAddress"], "local-hostname": instance["PrivateDnsName"], "hostname": instance["PrivateDnsName"],
        "public-hostname": instance["PublicDnsName"], "placement/availability-zone": zone, "placement/region": zone[:-1],
        "placement/group-name": instance["Placement"].get("GroupName") or "",
        "security-groups": "\n".join(group["GroupName"] for group in instance["SecurityGroups"])}


def _document(instance: dict) -> dict:
    from ministack.core.responses import get_account_id

    zone = instance["Placement"]["AvailabilityZone"]
    return {"accountId": get_account_id(), "architecture": instance["Architecture"], "availabilityZone": zone, "region": zone[:-1],
            "imageId": instance["ImageId"], "instanceId": instance["InstanceId"], "instanceType": instance["InstanceType"],
            "pendingTime": instance["LaunchTime"], "privateIp": instance["PrivateIpAddress"], "version": "2017-09-30"}


def _iam(instance: dict, name: str) -> str | None:
    from ministack.services import iam

    arn = (instance.get("IamInstanceProfile") or {}).get("Arn", "")
    profile = iam._lookup_instance_profile(name="", arn=arn) if arn else None
    if not profile:
        return None  # an instance without a role has no such branch
    if name == "iam/info":
        return json.dumps({"Code": "Success", "InstanceProfileArn": arn, "InstanceProfileId": profile["InstanceProfileId"]})
    role = next((iam._roles.get(known) for known in _roles(profile)), None)
    if role is None or not name.startswith("iam/security-credentials"):
        return None
    asked = name.removeprefix("iam/security-credentials").strip("/")
    if not asked:
        return role["RoleName"]
    return json.dumps(_keys(role, instance["InstanceId"])) if asked == role["RoleName"] else None


def _roles(profile: dict) -> list[str]:
    return [role["RoleName"] if isinstance(role, dict) else role for role in profile.get("Roles") or []]


def _keys(role: dict, session: str) -> dict:
    from ministack.services import iam, sts

    key, secret, token = iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token()
    sts.register_session(key, {
        "Arn": sts._assumed_role_arn(role["Arn"], session)[0], "UserId": f"{role['RoleId']}:{session}", "SecretAccessKey": secret,
        "SessionToken": token, "Expiration": time.time() + KEYS_SECONDS, "AccountId": role["Arn"].split(":")[4],
        "PrincipalType": "AssumedRole"})
    return {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": iam._future(KEYS_SECONDS)}
