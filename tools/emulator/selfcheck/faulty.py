"""Checks of ordered faults, of the log of calls, and of how the process begins and ends."""

import concurrent.futures
import contextlib
import os
import socket
import subprocess
import sys
import time

from emulator.selfcheck.world import (
    QUEUE, TOOLS, aws, check, control, create, function, message, order, queue, refused, unique, until)


@check
def a_call_can_be_throttled_by_action_and_text():
    name = unique("throttled")
    order(kind="call", call="cloudformation.CreateStack", text=name, error="Throttling", status=400,
          message="Rate exceeded", times=2)
    assert refused("Throttling", create, {"A": QUEUE}, name) == "Rate exceeded"
    create({"A": QUEUE}, unique("other"))
    refused("Throttling", create, {"A": QUEUE}, name)
    create({"A": QUEUE}, name)


@check
def s3_can_be_slow_down_and_denied():
    bucket = unique("faulty")
    aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    order(kind="call", call="s3.PutObject", text=f"/{bucket}/a.txt", error="SlowDown", status=503)
    order(kind="call", call="s3.GetObject", text=bucket, error="AccessDenied", status=403)
    refused("SlowDown", aws("s3").put_object, Bucket=bucket, Key="a.txt", Body=b"1")
    aws("s3").put_object(Bucket=bucket, Key="a.txt", Body=b"1")
    refused("AccessDenied", aws("s3").get_object, Bucket=bucket, Key="a.txt")
    assert aws("s3").get_object(Bucket=bucket, Key="a.txt")["Body"].read() == b"1"
    refused("AccessDenied", aws("s3").put_object, Bucket=bucket, Key="b", Body=b"1", ExpectedBucketOwner="111111111111")
    aws("s3").put_object(Bucket=bucket, Key="b", Body=b"1", ExpectedBucketOwner="000000000000")
    order(kind="call", call="ses.SendEmail", error="Throttling", status=400)
    refused("Throttling", aws("ses").send_email, Source="a@example.com", Destination={"ToAddresses": ["b@example.com"]},
            Message={"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}})


@check
def an_answer_can_be_lost_after_the_call_was_done():
    name = unique("lost")
    order(kind="call", call="cloudformation.CreateStack", text=name, when="after", error="InternalFailure", status=500)
    refused("InternalFailure", create, {"A": QUEUE}, name)
    refused("AlreadyExistsException", create, {"A": QUEUE}, name)


@check
def an_invocation_is_told_with_its_own_calls_its_time_and_its_memory():
    url, _ = queue()
    name, _ = function(f"""
time.sleep(0.3)
for _ in range(event["calls"]):
    aws("sqs").get_queue_attributes(QueueUrl="{url}")
return 1 / (2 - event["calls"])""")
    for calls in (1, 3):
        aws("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=f'{{"calls": {calls}, "clusterdrop": "x"}}')

    def told(count):
        found = control("GET", f"invocations?function={name}")["invocations"]
        return len(found) >= count and all(i["ms"] for i in found) and found

    both = until(lambda: told(2))
    assert sorted(len(i["calls"]) for i in both) == [1, 3], both
    for one in both:
        assert one["by"] == "x" and one["cold"] and one["error"] is None and one["ms"] >= 300, one
        assert one["peak_kib"] > 1000 and {c["call"] for c in one["calls"]} == {"sqs.GetQueueAttributes"}, one
    aws("lambda").invoke(FunctionName=name, Payload='{"calls": 2}')
    third = until(lambda: told(3))[2]
    assert not third["cold"] and "division" in third["error"] and len(third["calls"]) == 2, third


@check
def a_function_can_die_at_a_call():
    url, _ = queue()
    body = f"aws('sqs').get_queue_attributes(QueueUrl='{url}'); aws('sqs').send_message(QueueUrl='{url}', MessageBody='1')"
    name, _ = function(body)
    order(kind="call", caller=f"function/{name}", call="sqs.SendMessage", kill=True)
    aws("lambda").invoke(FunctionName=name, InvocationType="Event", Payload="{}")
    message(url, 20)
    made = [c["call"] for c in control("GET", f"calls?caller=function/{name}")["calls"]]
    assert made == ["sqs.GetQueueAttributes", "sqs.SendMessage"] * 2, made


@check
def who_dies_at_a_call_takes_no_other_invocation_with_it():
    url, _ = queue()
    name, _ = function(f"""
if event["dies"]:
    aws("sqs").send_message(QueueUrl="{url}", MessageBody="1")
else:
    aws("sqs").get_queue_attributes(QueueUrl="{url}")
    while not aws("sqs").receive_message(QueueUrl="{url}").get("Messages"):
        time.sleep(0.05)
""", timeout=60)
    order(kind="call", caller=f"function/{name}", call="sqs.SendMessage", kill=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        other = pool.submit(aws("lambda").invoke, FunctionName=name, Payload='{"dies": false}')
        until(lambda: control("GET", f"calls?caller=function/{name}")["calls"])
        # It dies, and is tried again; what it sends then is what the other waits for.
        aws("lambda").invoke(FunctionName=name, InvocationType="Event", Payload='{"dies": true}')
        assert "FunctionError" not in other.result(), other.result()["Payload"].read()


@check
def rights_count_where_auth_is_on():
    url, arn = queue()
    name, _ = function(f"aws('sqs').send_message(QueueUrl='{url}', MessageBody='1')", may="sqs:ReceiveMessage")
    answer = aws("lambda").invoke(FunctionName=name, Payload="{}")
    assert ("FunctionError" in answer) == (os.environ.get("AUTH", "").lower() == "true"), answer["Payload"].read()


@check
def the_log_of_calls_can_be_counted():
    bucket = unique("counted")
    aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws("s3").put_object(Bucket=bucket, Key="k", Body=b"1")
    aws("s3").head_object(Bucket=bucket, Key="k")
    aws("s3").list_objects_v2(Bucket=bucket)
    aws("s3").delete_object(Bucket=bucket, Key="k")
    found = [c["call"] for c in control("GET", f"calls?path={bucket}")["calls"]]
    assert found == ["s3.CreateBucket", "s3.PutObject", "s3.HeadObject", "s3.ListObjectsV2", "s3.DeleteObject"], found
    assert control("GET", f"calls?path={bucket}")["calls"][1]["caller"] == "test"


@check
def what_a_function_asks_for_is_logged():
    bucket = unique("asked")
    aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    put = f"aws('s3').put_object(Bucket='{bucket}', Key='a/b +%', Body=b'1', IfNoneMatch='*')"
    listing = f"aws('s3').list_objects_v2(Bucket='{bucket}', Prefix='a/')"
    name, _ = function(f"{put}; {listing}; aws('cloudformation').describe_stacks()")
    aws("lambda").invoke(FunctionName=name, Payload="{}")
    asked = [c["asked"] for c in control("GET", "function-calls")["calls"] if c["caller"] == f"function/{name}"]
    assert asked == [{"bucket": bucket, "key": "a/b +%", "conditional": True}, {"bucket": bucket, "key": "", "prefix": "a/"}, {}], asked


def what_functions_ask_for_is_kept_when_calls_are_cleared(_):
    """Alone, and after all others: they count calls too."""
    name, _ = function("aws('cloudformation').describe_stacks()")
    aws("lambda").invoke(FunctionName=name, Payload="{}")
    control("DELETE", "calls")
    assert control("GET", "calls")["calls"] == []
    assert [c["call"] for c in control("GET", "function-calls")["calls"] if c["caller"] == f"function/{name}"] == [
        "cloudformation.DescribeStacks"]


@check
def a_wrong_order_is_refused():
    for body in ({"kind": "weather"}, {"kind": "call", "times": 0}, {"kind": "node", "stak": "a"},
                 {"kind": "function", "do": "kill"}):
        try:
            control("POST", "faults", body)
        except OSError as error:
            assert error.code == 400
        else:
            raise AssertionError("accepted")


@check
def a_taken_port_gives_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = subprocess.run([sys.executable, os.path.join(TOOLS, "emulator")], capture_output=True, text=True,
                             env={**os.environ, "GATEWAY_PORT": str(port)}, timeout=10)
    assert run.returncode != 0 and run.stderr.count("\n") == 1 and str(port) in run.stderr, run.stderr


def opened(pid: int) -> list[str]:
    """What a process has open now; a file that is closed meanwhile is not."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def listening(pid: int) -> set[str]:
    """Addresses on which a process listens, out of /proc."""
    inodes = {link[8:-1] for link in opened(pid) if link.startswith("socket:")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in open(f"/proc/{pid}/net/{table}").readlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(f"{table}:{fields[1]}")
    return found


def it_listens_on_loopback_only(emulator) -> None:
    """Runtime APIs of running functions have ports of their own; all of them are on 127.0.0.1."""
    found = listening(emulator.process.pid)
    assert found and all(address.startswith("tcp:0100007F:") for address in found), found


def it_ends_quickly_and_leaves_no_child(emulator) -> None:
    name, _ = function("time.sleep(30)")
    aws("lambda").invoke(FunctionName=name, InvocationType="Event", Payload="{}")
    children = []
    deadline = time.monotonic() + 5
    while not children and time.monotonic() < deadline:
        listed = open(f"/proc/{emulator.process.pid}/task/{emulator.process.pid}/children").read()
        children = [int(p) for task in os.listdir(f"/proc/{emulator.process.pid}/task")
                    for p in open(f"/proc/{emulator.process.pid}/task/{task}/children").read().split()]
        time.sleep(0.1)
    assert children, listed
    took = emulator.end()
    assert took < 2, f"it took {took:.1f} s"
    left = [pid for pid in children if os.path.exists(f"/proc/{pid}/cmdline") and open(f"/proc/{pid}/cmdline").read()]
    assert not left, left
