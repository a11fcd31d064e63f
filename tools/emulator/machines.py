"""What a test bed asks of EC2: which machines there are, what each is to run, and how often it was rebooted."""

import base64


def listing() -> list[dict]:
    """Of all accounts and Regions: also those that have ended, until MiniStack forgets them."""
    from ministack.services import ec2

    tags = dict(ec2._tags.all_items())
    return [_told(instance, tags.get((account, region, known), []))
            for (account, region, known), instance in list(ec2._instances.all_items())]


def _told(instance: dict, tags: list) -> dict:
    return {
        "id": instance["InstanceId"], "state": instance["State"]["Name"], "reboots": instance.get("_reboots", 0),
        "private_address": instance["PrivateIpAddress"], "public_address": instance["PublicIpAddress"],
        "user_data": base64.b64decode(instance.get("UserData") or "").decode("utf-8", "replace"),
        "tags": {tag["Key"]: tag["Value"] for tag in tags}}


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
