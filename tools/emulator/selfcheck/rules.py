"""Checks of a template's Rules, and of the deployment's own: its Rules and the patterns of its uploads, out of template.yaml."""

import os
import re

import boto3

from emulator.selfcheck import world
from emulator.selfcheck.delivery import bucket, rule
from emulator.selfcheck.world import QUEUE, TOOLS, aws, check, create, message, queue, refused, template, unique

NEEDED = {"UserBucket": "users", "CustomizerBucket": "profiles", "AdminEmail": "a@site.example", "MailSender": "a@site.example"}


def given(values: dict) -> list[dict]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def deployment() -> str:
    with open(os.path.join(os.path.dirname(TOOLS), "template.yaml")) as source:
        return source.read()


def section(name: str) -> str:
    """A section of the deployment's template, as it is written there."""
    return re.search(rf"^{name}:\n(?:(?:[ #].*)?\n)+", deployment(), re.M)[0]


def ask(region: str = world.REGION, **values) -> None:
    """A stack with the deployment's parameters and rules, and next to nothing else."""
    body = f"{section('Parameters')}{section('Rules')}Resources:\n  A:\n    Type: AWS::SQS::Queue\n"
    client = boto3.client("cloudformation", endpoint_url=world._URL, region_name=region, aws_access_key_id="test",
                          aws_secret_access_key="test")
    client.create_stack(StackName=unique("rules"), TemplateBody=body, Parameters=given(NEEDED | values))


@check
def rules_of_a_template_are_asked_whenever_a_stack_is():
    sections = {"Parameters": {"Size": {"Type": "String"}}, "Rules": {"Small": {
        "RuleCondition": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Size"}, "none"]}]},
        "Assertions": [{"Assert": {"Fn::Contains": [["small"], {"Ref": "Size"}]}, "AssertDescription": "Small ones only."}]}}}
    told = refused("ValidationError", create, {"A": QUEUE}, None, sections, Parameters=given({"Size": "huge"}))
    assert "Small ones only." in told, told
    told = refused("ValidationError", aws("cloudformation").create_change_set, StackName=unique("set"), ChangeSetName="a",
                   ChangeSetType="CREATE", TemplateBody=template({"A": QUEUE}, **sections), Parameters=given({"Size": "huge"}))
    assert "Small ones only." in told, told
    for size in ("small", "none"):
        create({"A": QUEUE}, None, sections, Parameters=given({"Size": size}))


@check
def everybody_needs_a_second_word():
    for word in ({}, {"AccessFromEverywhere": "no"}):
        told = refused("ValidationError", ask, AccessNetwork="0.0.0.0/0", **word)
        assert "AccessFromEverywhere=yes" in told, told
    ask(AccessNetwork="0.0.0.0/0", AccessFromEverywhere="yes")
    for network in ("192.0.2.0/24", "10.0.0.0/8", "198.51.100.7/32"):
        ask(AccessNetwork=network)


@check
def everybody_in_another_spelling_is_no_network():
    for network in ("1.2.3.4/0", "0.0.0.0/1", "128.0.0.0/1", "0.0.0.0/00", "00.0.0.0/0", "10.0.0.0/7", "0.0.0.0", "::/0"):
        for word in ("no", "yes"):
            told = refused("ValidationError", ask, AccessNetwork=network, AccessFromEverywhere=word)
            assert "AccessNetwork" in told, told


@check
def where_there_is_no_mail_there_is_no_deployment():
    for region in ("cn-north-1", "cn-northwest-1"):
        told = refused("ValidationError", ask, region, AccessNetwork="192.0.2.0/24")
        assert "SES" in told and "China" in told, told
    for region in ("us-gov-west-1", "eu-central-1"):
        ask(region, AccessNetwork="192.0.2.0/24")


@check
def a_zone_is_that_of_the_network_whoever_made_it():
    own = {"VpcId": "vpc-0a1b2c3d", "SubnetId": "subnet-0a1b2c3d", "ComputeSubnetId": "subnet-0a1b2c3d", "AccessNetwork": "192.0.2.0/24"}
    # Of an own network it is the zone of the volumes.
    for zone in ("", "eu-west-1b"):
        ask(**own, AvailabilityZone=zone)
    # Every Region that is known has a first zone.
    regions = [line.split()[0].rstrip(":") for line in open(os.path.join(TOOLS, "..", "templates", "regions.txt")) if line[:1].isalpha()]
    assert "ap-southeast-2" in regions and len(regions) > 30, regions
    for zone in ("us-gov-east-1a", "us-west-2-lax-1a", "", *(f"{region}a" for region in regions)):
        ask(AccessNetwork="192.0.2.0/24", AvailabilityZone=zone)
    for zone in ("b", "eu-west-1", "eu-west-1b eu-west-1c", "euw1-az1"):
        told = refused("ValidationError", ask, AccessNetwork="192.0.2.0/24", AvailabilityZone=zone)
        assert "AvailabilityZone" in told, told


@check
def uploads_are_told_by_whole_endings_and_answers_are_not():
    patterns = re.search(r"              - wildcard: home/\*\.cf-create\n((?:.*suffix.*|.*#.*)\n)+", deployment())[0]
    endings = re.findall(r'equals-ignore-case: "(.*)"', patterns)
    assert len(endings) > 20, endings
    url, arn = queue("events.amazonaws.com")
    home = bucket()
    keys = [{"wildcard": "home/*.cf-create"}] + [{"suffix": {"equals-ignore-case": ending}} for ending in endings]
    rule({"source": ["aws.s3"], "detail": {"bucket": {"name": [home]}, "object": {"key": keys}}}, arn)
    silent = ["x.cf-created", "x.cf-failed", "x.cf-status", "x.cf-deleted", "x.cf-create.txt.cf-failed", "README.txt", "cf-create.txt"]
    told = ["a.cf-create", "b.cf-create.txt", "c.CF-CREATE", "d.Cf-Create.JSON", "e.cf_create", "f.cf-create~", "g.cf-create (1)"]
    for name in silent + told:
        aws("s3").put_object(Bucket=home, Key=f"home/alice/{name}", Body=b"{}")
    heard = {message(url)["Body"]["detail"]["object"]["key"] for _ in told}
    assert heard == {f"home/alice/{name}" for name in told}, heard
    assert not aws("sqs").receive_message(QueueUrl=url).get("Messages"), "an upload is one event"
