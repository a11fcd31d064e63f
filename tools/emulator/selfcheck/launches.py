"""Checks of launches that fail, are slow or end early, and of what an instance learns of itself: metadata, spot interruption."""

import json
import time
import urllib.error
import urllib.request

from emulator.selfcheck import world
from emulator.selfcheck.requests import ROLE
from emulator.selfcheck.scaling import activities, comes_to, desire, group, machine, made, members, parts, ref, terminate
from emulator.selfcheck.world import check, control, create, ends, order, unique, until

FAILED = "Launching EC2 instance failed."


def failed(name: str) -> list[dict]:
    return [activity for activity in activities(name) if activity["StatusCode"] == "Failed"]


def clear(fault: int) -> None:
    control("DELETE", f"faults/{fault}")


def refused_with(words: str, spot: str | None = None, **fault) -> None:
    name, _ = made(spot=spot)
    order(kind="launch", group=name, **fault)
    desire(name, 2)
    first = until(lambda: failed(name))[-1]
    assert first["StatusMessage"] == f"{words} {FAILED}", first
    assert first["Description"] == f"Launching a new EC2 instance.  Status Reason: {words} {FAILED}" and first["Progress"] == 100, first
    assert "increasing the capacity from 0 to 2." in first["Cause"] and json.loads(first["Details"])["Availability Zone"] == "eu-west-1b"
    assert group(name)["DesiredCapacity"] == 2 and not group(name)["Instances"]
    told = control("GET", f"events?text={name}&detail_type=Launch%20Unsuccessful")["events"][0]
    assert told["Source"] == "aws.autoscaling" and told["Detail"]["StatusMessage"] == f"{words} {FAILED}", told


@check
def no_spot_capacity_is_told():
    refused_with("There is no Spot capacity available that matches your request.", spot="0.03", do="no-capacity")


@check
def no_capacity_on_demand_is_told():
    refused_with("We currently do not have sufficient c5.large capacity in the Availability Zone you requested (eu-west-1b). Our system "
                 "will be working on provisioning additional capacity. You can currently get c5.large capacity by not specifying an "
                 "Availability Zone in your request or choosing eu-west-1a, eu-west-1c.", do="no-capacity")


@check
def a_quota_is_told_in_the_words_of_its_market():
    refused_with("Max spot instance count exceeded.", spot="0.03", do="quota")
    refused_with("You have requested more vCPU capacity than your current vCPU limit of 16 allows for the instance bucket that the "
                 "specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment "
                 "to this limit.", do="quota", limit=16)


@check
def a_price_below_the_market_is_told_with_both_prices():
    refused_with("Your Spot request price of 0.03 is lower than the minimum required Spot request fulfillment price of 0.0512.",
                 spot="0.03", do="price", least="0.0512")


@check
def a_type_that_the_zone_lacks_is_told():
    refused_with("Your requested instance type (c5.large) is not supported in your requested Availability Zone (eu-west-1b). Please retry "
                 "your request by not specifying an Availability Zone or choosing eu-west-1a, eu-west-1c.", do="not-offered")


@check
def a_fault_meets_only_its_group_and_its_market():
    spot, _ = made(spot="0.03", name=unique("cluster") + "-spot")
    demand, _ = made(name=spot.removesuffix("spot") + "ondemand")
    order(kind="launch", group=spot.removesuffix("spot"), do="no-capacity", market="spot")
    order(kind="launch", group=demand, do="price")  # no such thing on demand
    desire(spot, 1)
    desire(demand, 1)
    comes_to(demand, 1)
    assert until(lambda: failed(spot)) and not failed(demand) and not group(spot)["Instances"]


@check
def a_group_tries_again_for_as_long_as_it_is_desired():
    name, _ = made()
    fault = order(kind="launch", group=name, do="no-capacity")
    desire(name, 1)
    until(lambda: len(failed(name)) >= 3)
    at = [activity["StartTime"] for activity in failed(name)[::-1]]
    pauses = [(later - earlier).total_seconds() for earlier, later in zip(at, at[1:])]
    assert all(pause > 0.15 for pause in pauses) and pauses[1] > 1.5 * pauses[0], pauses
    assert "user request" in failed(name)[-1]["Cause"] and "user request" not in failed(name)[0]["Cause"]
    clear(fault)
    comes_to(name, 1)
    assert activities(name)[0]["StatusCode"] == "Successful"


@check
def nothing_starts_once_the_capacity_is_taken_back():
    name, _ = made()
    fault = order(kind="launch", group=name, do="no-capacity")
    desire(name, 2)
    until(lambda: failed(name))
    desire(name, 0)
    told = len(activities(name))
    clear(fault)
    time.sleep(0.6)  # longer than the pause that was under way
    assert group(name)["Instances"] == [] and len(activities(name)) == told


@check
def some_of_a_request_may_come_and_the_rest_not():
    name, _ = made()
    order(kind="launch", group=name, do="no-capacity", skip=2)
    desire(name, 4)
    here = comes_to(name, 2)
    assert "increasing the capacity from 0 to 4." in until(lambda: failed(name))[-1]["Cause"]
    desire(name, 2)  # to what was just read, as our nodes do
    assert comes_to(name, 2) == here and group(name)["DesiredCapacity"] == 2


def in_a_pause(name: str, least: int = 0) -> None:
    """A group that has failed four times, so that its next attempt is 1.6 s away."""
    order(kind="launch", group=name, do="no-capacity", skip=least)
    desire(name, least + 1)
    until(lambda: len(failed(name)) == 4)


@check
def what_is_desired_anew_is_tried_at_once():
    name, _ = made()
    in_a_pause(name)
    started = time.monotonic()
    desire(name, 2)
    until(lambda: len(failed(name)) == 5)
    assert time.monotonic() - started < 1.2


@check
def a_pause_is_not_cut_short_by_the_group_s_other_instances():
    name, _ = made()
    in_a_pause(name, least=1)
    terminate(members(name)[0], True)
    until(lambda: not group(name)["Instances"])
    time.sleep(0.3)
    assert len(failed(name)) == 4
    until(lambda: len(failed(name)) == 5)


@check
def an_instance_is_pending_for_as_long_as_a_test_says():
    name, _ = made()
    order(kind="launch", group=name, seconds=1.5, times=1)
    desire(name, 2)
    slow, = until(lambda: members(name, "Pending") if len(members(name)) == 1 else None)
    assert machine(slow)["State"]["Name"] == "running", "EC2 has started it"
    launch = next(a for a in activities(name) if slow in a["Description"])
    assert launch["StatusCode"] == "InProgress" and launch["Progress"] < 100 and "EndTime" not in launch, launch
    assert slow in comes_to(name, 2) and not failed(name)


@check
def a_pending_instance_can_be_ended():
    name, _ = made()
    order(kind="launch", group=name, seconds=60)
    desire(name, 1)
    slow, = until(lambda: members(name, "Pending"))
    terminate(slow, True)
    comes_to(name, 0)
    launch = next(a for a in activities(name) if a["Description"] == f"Launching a new EC2 instance: {slow}")
    assert launch["StatusCode"] == "Cancelled", launch


@check
def an_instance_may_die_before_it_is_in_service():
    name, _ = made()
    order(kind="launch", group=name, do="dies", times=1)
    desire(name, 1)
    comes_to(name, 1)
    assert "Client.InternalError: Client error on launch" in failed(name)[0]["StatusMessage"] and len(failed(name)) == 1


@check
def a_fault_of_a_launch_that_says_nothing_or_too_much_is_refused():
    for wrong in (dict(do="no-capacty"), dict(), dict(do="quota", seconds=1), dict(do="quota", market="sport")):
        try:
            order(kind="launch", group="x", **wrong)
        except urllib.error.HTTPError as error:
            assert error.code == 400
        else:
            raise AssertionError(wrong)


def metadata(instance: str, path: str, token: str | None = None) -> tuple[int, str]:
    headers = {"x-aws-ec2-metadata-token": token} if token else {}
    return _asked("GET", f"{instance}/latest/{path}", headers)


def _asked(method: str, path: str, headers: dict, told: dict | None = None) -> tuple[int, str]:
    """`told` takes the headers of the answer."""
    request = urllib.request.Request(f"{world._URL}/_clusterdrop/metadata/{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            if told is not None:
                told.update({name.lower(): value for name, value in answer.headers.items()})
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@check
def an_instance_knows_itself_by_its_metadata():
    resources = parts(name=(name := unique("knows")), desired=1, data={
        "IamInstanceProfile": {"Arn": {"Fn::GetAtt": ["Profile", "Arn"]}}, "MetadataOptions": {"HttpTokens": "required"},
        "UserData": {"Fn::Base64": "#!/bin/sh\nx"}})
    resources |= {"Role": ROLE, "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [ref("Role")]}}}
    ends(create(resources, Capabilities=["CAPABILITY_IAM"])[1], "CREATE_COMPLETE")
    only, = comes_to(name, 1)
    assert metadata(only, "meta-data/instance-id")[0] == 401, "without a token"
    assert _asked("PUT", f"{only}/latest/api/token", {})[0] == 400
    ttl = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
    status, token = _asked("PUT", f"{only}/latest/api/token", ttl, told := {})
    assert told.items() >= ttl.items(), told
    assert status == 200 and metadata(only, "meta-data/instance-id", "x" * 20)[0] == 401
    found = machine(only)
    for path, value in (("instance-id", only), ("local-ipv4", found["PrivateIpAddress"]), ("placement/availability-zone", "eu-west-1b"),
                        ("placement/region", "eu-west-1"), ("instance-life-cycle", "on-demand"), ("instance-type", "c5.large")):
        assert metadata(only, f"meta-data/{path}", token) == (200, value), path
    mac = metadata(only, "meta-data/mac", token)[1]
    assert metadata(only, f"meta-data/network/interfaces/macs/{mac}/vpc-ipv4-cidr-blocks", token) == (200, "10.7.0.0/16")
    assert metadata(only, "user-data", token) == (200, "#!/bin/sh\nx")
    assert metadata(only, "meta-data/nothing", token)[0] == 404 and metadata("i-none", "meta-data/instance-id", token)[0] == 404
    role = metadata(only, "meta-data/iam/security-credentials/", token)[1]
    keys = json.loads(metadata(only, f"meta-data/iam/security-credentials/{role}", token)[1])
    who = world.aws("sts", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
                    aws_session_token=keys["Token"]).get_caller_identity()["Arn"]
    assert who.endswith(f":assumed-role/{role}/{only}"), who
    assert [call["call"] for call in control("GET", f"calls?caller={only}")["calls"]] == ["sts.GetCallerIdentity"]
    desire(name, 0)
    comes_to(name, 0)
    assert metadata(only, "meta-data/instance-id", token)[0] == 404


@check
def machines_have_addresses_of_their_subnet_and_none_is_soon_another_ones():
    name, _ = made(desired=2)
    addresses = [machine(instance)["PrivateIpAddress"] for instance in comes_to(name, 2)]
    for address in addresses:
        assert address.startswith("10.7.1.") and 4 <= int(address.split(".")[3]) < 255, addresses
    terminate(members(name)[0], decrement=False)
    until(lambda: len([i for i in members(name) if machine(i)["PrivateIpAddress"] not in addresses]) == 1)


@check
def a_test_bed_learns_which_machines_there_are():
    name, _ = made(desired=1, data={"UserData": {"Fn::Base64": "#!/bin/sh\nx"}})
    only, = comes_to(name, 1)

    def seen():
        return next(found for found in control("GET", "machines?user=alice")["machines"] if found["id"] == only)

    found = machine(only)
    assert seen()["private_address"] == found["PrivateIpAddress"] and seen()["state"] == "running" and seen()["reboots"] == 0, seen()
    assert seen()["user_data"] == "#!/bin/sh\nx" and seen()["tags"]["USER"] == "alice", seen()
    world.aws("ec2").reboot_instances(InstanceIds=[only])
    assert seen()["reboots"] == 1 and not control("GET", "machines?user=bob")["machines"]
    desire(name, 0)
    comes_to(name, 0)
    assert seen()["state"] == "terminated"


@check
def a_spot_instance_is_told_of_its_end_and_replaced():
    name, _ = made(desired=2, spot="0.03")
    first, second = comes_to(name, 2)
    assert metadata(first, "meta-data/spot/instance-action")[0] == 404
    order(kind="interruption", instance=first, seconds=1.5)
    status, told = metadata(first, "meta-data/spot/instance-action")
    assert status == 200 and json.loads(told)["action"] == "terminate" and json.loads(told)["time"].endswith("Z"), told
    assert metadata(first, "meta-data/spot/termination-time") == (200, json.loads(told)["time"])
    assert metadata(second, "meta-data/spot/instance-action")[0] == 404
    assert control("GET", f"events?text={first}&detail_type=Spot%20Instance%20Interruption")["events"]
    assert machine(first)["State"]["Name"] == "running" and members(name) == [first, second]
    until(lambda: first not in members(name))
    assert second in until(lambda: first not in members(name) and comes_to(name, 2)) and machine(first)["State"]["Name"] == "terminated"
    assert group(name)["DesiredCapacity"] == 2 and any("EC2 health check" in a["Cause"] for a in activities(name))


@check
def an_interruption_waits_for_a_spot_instance_and_meets_no_other():
    demand, _ = made(desired=1)
    only, = comes_to(demand, 1)
    order(kind="interruption", group=demand, seconds=0)
    spot, _ = made(spot="0.03")
    order(kind="interruption", group=spot, seconds=60)
    desire(spot, 2)
    told = [metadata(instance, "meta-data/spot/instance-action")[0] for instance in comes_to(spot, 2)]
    assert sorted(told) == [200, 404], told
    assert comes_to(demand, 1) == [only] and metadata(only, "meta-data/spot/instance-action")[0] == 404


@check
def successful_launches_are_events_where_they_are_asked_for():
    """The others are seen in every check of a failure."""
    talkative = world.Emulator(the_common_one=False, CLUSTERDROP_LAUNCH_EVENTS="all")
    try:
        body = world.template(parts(name="told", desired=1))
        world.aws("cloudformation", talkative.url).create_stack(StackName="stack-told", TemplateBody=body)
        found = until(lambda: control("GET", "events?text=told&detail_type=Launch%20Successful", url=talkative.url)["events"])
        assert found[0]["Detail"]["EC2InstanceId"].startswith("i-") and found[0]["Detail"]["StatusCode"] == "Successful", found
    finally:
        talkative.process.kill()
    name, _ = made(desired=1)
    comes_to(name, 1)
    assert not control("GET", f"events?text={name}&detail_type=Launch%20Successful")["events"]
