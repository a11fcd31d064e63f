"""The benchmark's other side: what a create costs in Python. It makes the four calls that the original makes before it
begins to poll, one after the other as there, with the clients made once, at the start, as AWS advises."""

import json
import os
from urllib.parse import unquote_plus

import boto3

s3 = boto3.client("s3")
cloudformation = boto3.client("cloudformation")
ses = boto3.client("ses")

DEFAULTS = {
    "ComputeInstanceType": "other",
    "ComputeInstanceTypeOther": "c4.large-2C-3.75GB",
    "MasterInstanceType": "other",
    "MasterInstanceTypeOther": "c4.large-2C-3.75GB",
    "ComputeSpotPrice": "0.03",
    "AutoscalingPolicy": "enabled",
    "ComputeInitialNodes": "1",
    "ComputeMaxNodes": "4",
    "MasterSystemVolumeSize": "16",
}


def handle(event, _context):
    bucket = event["detail"]["bucket"]["name"]
    key = unquote_plus(event["detail"]["object"]["key"])
    user, name = key.split("/")[1], key.split("/")[-1].removesuffix(".cf-create")
    profiles = os.environ["CLUSTERDROP_CUSTOMIZER_BUCKET"]
    s3.get_object(Bucket=profiles, Key=f"customizer/{user}/configure.d/user.sh")["Body"].read()
    asked = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    parameters = {k: asked.get(k, v) for k, v in {**DEFAULTS, "AccessUsername": user, "FlightProfiles": user}.items()}
    admin = os.environ["CLUSTERDROP_MAIL_TO"]
    ses.send_email(
        Source=admin,
        Destination={"ToAddresses": [admin]},
        Message={"Subject": {"Data": f"{user} has started {name}"}, "Body": {"Text": {"Data": key}}},
    )
    stack = cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"https://s3.eu-west-2.amazonaws.com/{profiles}/cluster.yaml",
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
        Tags=[{"Key": "project", "Value": user}],
        ClientRequestToken=f"{name}start",
    )
    return stack["StackId"]
