"""A whole deployment by `sam deploy`, used once and removed: `python -m emulator.selfcheck.deployment PATH/TO/sam`."""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from io import BytesIO

from emulator.selfcheck import world
from emulator.selfcheck.world import QUEUE, aws, control, create, ends, message, stack, unique

# The function answers the custom resource, fails where an object says so, and reports everything else.
BODY = """
if "ResponseURL" in event:
    answer = {**{k: event[k] for k in ("StackId", "RequestId", "LogicalResourceId")}, "Status": "SUCCESS",
              "PhysicalResourceId": "published", "Data": {"Word": "by the function"}}
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT"))
    return
print(json.dumps({"level": "INFO", "seen": event.get("detail-type")}), flush=True)
if "/broken/" in json.dumps(event):
    raise ValueError("broken")
aws("sqs").send_message(QueueUrl=os.environ["RESULTS"], MessageBody=json.dumps(event))
if "Records" in event:
    return {"batchItemFailures": []}
"""


def sam(program: str, folder: str, *words: str) -> None:
    environment = {**os.environ, "AWS_ENDPOINT_URL": world._URL, "AWS_ACCESS_KEY_ID": "test", "SAM_CLI_TELEMETRY": "0",
                   "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": world.REGION}
    run = subprocess.run([program, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    if run.returncode:
        raise AssertionError(f"sam {words[0]}: {run.stdout[-1500:]}\n{run.stderr[-1500:]}")


def deploy(program: str, name: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(os.path.dirname(__file__), "template.yaml")) as source:
            open(os.path.join(folder, "template.yaml"), "w").write(source.read())
        with zipfile.ZipFile(BytesIO(world.bootstrap(BODY))) as packed:
            packed.extractall(os.path.join(folder, "code"))
        os.chmod(os.path.join(folder, "code", "bootstrap"), 0o755)
        sam(program, folder, "deploy", "--stack-name", name, "--resolve-s3", "--no-progressbar", "--capabilities",
            "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "--no-confirm-changeset", "--parameter-overrides", f"Prefix={name}-c")
        started = time.monotonic()
        print(f"deployed: {name}", flush=True)
        sam(program, folder, "deploy", "--stack-name", name, "--resolve-s3", "--no-progressbar", "--capabilities",
            "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
            "--parameter-overrides", f"Prefix={name}-c")
        print(f"deployed again, unchanged: {time.monotonic() - started:.1f} s", flush=True)
    return {o["OutputKey"]: o["OutputValue"] for o in stack(name)["Outputs"]}


def use(found: dict, name: str) -> None:
    assert found["Published"] == "by the function", found
    aws("s3").put_object(Bucket=found["Home"], Key="home/alice/a.cf-create", Body=b"{}")
    seen = message(found["Results"])["Body"]
    assert seen["detail"]["object"]["key"] == "home/alice/a.cf-create" and seen["detail"]["object"]["version-id"], seen
    print("an upload reaches the function", flush=True)
    aws("s3").put_object(Bucket=found["Home"], Key="home/broken/a.cf-create", Body=b"{}")
    record = message(found["Failed"], 30)["Body"]
    assert record["requestContext"]["approximateInvokeCount"] == 2, record
    print("a failing function ends in the failure queue", flush=True)
    _, id_ = create({"A": QUEUE}, f"{name}-c-1", RoleARN=found["Role"])
    ends(id_, "CREATE_COMPLETE")
    kinds = set()
    while kinds != {"status", "progress"}:
        body = message(found["Results"])["Body"]
        kinds |= {"progress"} if "Records" in body else {"status"} if "detail" in body else set()
    print("stack status and batched resource status reach the function", flush=True)
    assert control("POST", "fire", {"schedule": f"{name}-sweep"})["fired"]
    while "sweep" not in message(found["Results"])["Body"]:
        pass
    print("the sweep fires", flush=True)


def main() -> None:
    emulator, name, started = world.Emulator(CLUSTERDROP_RATE_SCALE="1"), unique("probe"), time.monotonic()
    try:
        found = deploy(os.path.abspath(sys.argv[1]), name)
        use(found, name)
        aws("cloudformation").delete_stack(StackName=f"{name}-c-1")
        for key in [v for v in aws("s3").list_object_versions(Bucket=found["Home"]).get("Versions", [])]:
            aws("s3").delete_object(Bucket=found["Home"], Key=key["Key"], VersionId=key["VersionId"])
        id_ = stack(name)["StackId"]
        aws("cloudformation").delete_stack(StackName=name)
        ends(id_, "DELETE_COMPLETE", 60)
        print(f"removed; all is well ({time.monotonic() - started:.1f} s)")
    finally:
        emulator.process.kill()


if __name__ == "__main__":
    main()
