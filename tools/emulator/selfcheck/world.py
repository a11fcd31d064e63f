"""What the checks share: an emulator of their own, clients, waiting for a state with a bound, and a function in shell."""

import functools
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
import zipfile

import boto3
from botocore.config import Config

TOOLS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REGION = "eu-west-1"
CHECKS: list = []
_making = threading.Lock()
_URL = ""


def check(function):
    """A check is a sentence that can be false; it fails by an exception."""
    CHECKS.append(function)
    return function


class Emulator:
    """A launcher process on a free port, with a quick clock."""

    def __init__(self, the_common_one: bool = True, **environment):
        global _URL
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if the_common_one:
            _URL = self.url
        self.log = open(os.environ.get("SELFCHECK_LOG", os.devnull), "w")
        quick = {"CLUSTERDROP_RESOURCE_SECONDS": "0.1", "CLUSTERDROP_SIGNAL_SECONDS": "0.5", "CLUSTERDROP_CLOCK": "0.01"}
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(TOOLS, "emulator")], stdout=self.log, stderr=self.log,
            env={**os.environ, **quick, "GATEWAY_PORT": str(self.port), "AWS_DEFAULT_REGION": REGION, **environment})
        until(lambda: control("GET", "ready", url=self.url), seconds=15)

    def end(self) -> float:
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(10)
        return time.monotonic() - started


def aws(service: str, url: str = "", **keys):
    """A client of root and the common emulator, or of another caller and another one."""
    with _making:  # boto3 makes one at a time; many may use it
        return _client(service, url or _URL, **(keys or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}))


@functools.cache
def _client(service: str, url: str, **keys):
    """Once each: making one takes longer than most calls."""
    return boto3.client(service, endpoint_url=url, region_name=REGION, **keys,
                        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, max_pool_connections=32))


def control(method: str, what: str, body: dict | None = None, url: str = "") -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url or _URL}/_clusterdrop/{what}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def order(**fault) -> int:
    return control("POST", "faults", fault)["id"]


def until(question, seconds: float = 15):
    """The first answer that is true; a refused connection is not one yet."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = question()
            if last:
                return last
        except (OSError, AssertionError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {last}")


def unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:8]}"


def template(resources: dict, **sections) -> str:
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, **sections})


def create(resources: dict, name: str | None = None, sections: dict | None = None, **more) -> tuple[str, str]:
    name = name or unique("stack")
    body = template(resources, **(sections or {}))
    return name, aws("cloudformation").create_stack(StackName=name, TemplateBody=body, **more)["StackId"]


def stack(stack_id: str) -> dict:
    return aws("cloudformation").describe_stacks(StackName=stack_id)["Stacks"][0]


def ends(stack_id: str, status: str, seconds: float = 15) -> dict:
    """Wait until a stack rests, and insist on how."""
    found = until(lambda: (s := stack(stack_id)) and not s["StackStatus"].endswith("IN_PROGRESS") and s, seconds)
    why = [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in story(stack_id)
           if e["ResourceStatus"].endswith("_FAILED")]
    assert found["StackStatus"] == status, f"{found['StackStatus']}, because of {why}"
    return found


def story(stack_id: str) -> list[dict]:
    pages = aws("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def refused(code: str, call, *args, **kwargs) -> str:
    """The message of an error with this code."""
    from botocore.exceptions import ClientError
    try:
        call(*args, **kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{code} was expected, and it was accepted")


QUEUE = {"Type": "AWS::SQS::Queue"}
TOPIC = {"Type": "AWS::SNS::Topic"}


def node(timeout: str = "PT5M", **properties) -> dict:
    return {"Type": "AWS::EC2::Instance", "CreationPolicy": {"ResourceSignal": {"Timeout": timeout}},
            "Properties": {"ImageId": "ami-0c2023a1b2c3d4e5f", "InstanceType": "t3.micro", **properties}}


def bootstrap(body: str) -> bytes:
    """A deployment package: a native bootstrap in Python that runs `body` on each event, with `aws(service)` at hand."""
    script = f"""#!{sys.executable}
import json, os, sys, time, urllib.request
import boto3
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
def aws(service):
    return boto3.client(service)
def handle(event):
{chr(10).join('    ' + line for line in body.splitlines())}
while True:
    with urllib.request.urlopen(api + "next") as request:
        event, number = json.load(request), request.headers["Lambda-Runtime-Aws-Request-Id"]
        os.environ["_X_AMZN_TRACE_ID"] = request.headers.get("Lambda-Runtime-Trace-Id", "")
    try:
        answer, kind = handle(event), "response"
    except Exception as error:
        answer, kind = dict(errorMessage=str(error), errorType=type(error).__name__), "error"
    urllib.request.urlopen(api + number + "/" + kind, data=json.dumps(answer).encode())
"""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, script)
    return packed.getvalue()


def role(*actions: str) -> str:
    """A role for a function; its rights count where AUTH=true is in the environment."""
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    name = unique("role")
    made = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    aws("iam").put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=json.dumps(may))
    return made


def function(body: str, may: str = "sqs:*", timeout: int = 10, **more) -> tuple[str, str]:
    name = unique("function")
    made = aws("lambda").create_function(
        FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Timeout=timeout, Code={"ZipFile": bootstrap(body)},
        Role=role(may), **more)
    return name, made["FunctionArn"]


def queue(policy_source: str | None = None) -> tuple[str, str]:
    name = unique("queue")
    url = aws("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:000000000000:{name}"
    if policy_source:
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": policy_source}, "Action": "sqs:SendMessage", "Resource": arn}]}
        aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    return url, arn


def message(url: str, seconds: float = 15) -> dict:
    """The next message, decoded, and taken out of the queue."""
    def receive():
        return aws("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")
    found = until(receive, seconds)[0]
    aws("sqs").delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    return {**found, "Body": json.loads(found["Body"])}
