"""What a test bed asks of EC2: which machines there are, what each is to run, and how often it was rebooted."""

import base64


def listing(user: str | None = None) -> list[dict]:
    """Of all accounts and Regions: also those that have ended, until MiniStack forgets them. `user`: only with this tag USER."""
    from ministack.services import ec2

    tags = dict(ec2._tags.all_items())
    tagged = ((instance, {tag["Key"]: tag["Value"] for tag in tags.get(known, [])})
              for known, instance in list(ec2._instances.all_items()))
    return [_told(instance, of) for instance, of in tagged if user in (None, of.get("USER"))]


def _told(instance: dict, tags: dict) -> dict:
    return {
        "id": instance["InstanceId"], "state": instance["State"]["Name"], "reboots": instance.get("_reboots", 0),
        "private_address": instance["PrivateIpAddress"], "public_address": instance["PublicIpAddress"],
        "user_data": base64.b64decode(instance.get("UserData") or "").decode("utf-8", "replace"),
        "tags": tags}


def install() -> None:
    from ministack.services import ec2

    plain = ec2._ACTION_MAP["RebootInstances"]

    def reboot(params):
        answer = plain(params)
        if answer[0] == 200:
            for known in ec2._parse_member_list(params, "InstanceId"):
                instance = ec2._instances[known]
                instance["_reboots"] = instance.get("_reboots", 0) + 1
        return answer

    ec2._ACTION_MAP["RebootInstances"] = reboot
