"""Checks of events on their way: EventBridge, S3, functions, queues, schedules."""

import json
import re
import time

from emulator.selfcheck.world import (
    QUEUE, REGION, aws, check, control, create, ends, function, message, order, queue, unique, until)


def rule(pattern: dict, target: str, dead_letters: str | None = None) -> str:
    name = unique("rule")
    arn = aws("events").put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    entry = {"Id": "1", "Arn": target, **({"DeadLetterConfig": {"Arn": dead_letters}} if dead_letters else {})}
    aws("events").put_targets(Rule=name, Targets=[entry])
    return arn


def permit(name: str, source: str, source_arn: str) -> None:
    aws("lambda").add_permission(FunctionName=name, StatementId=unique("s"), Action="lambda:InvokeFunction",
                                 Principal=source, SourceArn=source_arn)


def bucket(versioned: bool = True, **notification) -> str:
    name = unique("home")
    aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if versioned:
        aws("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    aws("s3").put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration=notification or {"EventBridgeConfiguration": {}})
    return name


@check
def stack_events_have_the_shape_of_aws():
    url, arn = queue("events.amazonaws.com")
    name = unique("told")
    prefix = f"arn:aws:cloudformation:{REGION}:000000000000:stack/{name}"
    rule({"source": ["aws.cloudformation"], "detail-type": ["CloudFormation Stack Status Change"],
          "detail": {"stack-id": [{"prefix": prefix}]}}, arn)
    order(kind="resource", stack=name, resource="A", reason="x")
    _, id_ = create({"A": QUEUE}, name, ClientRequestToken="token-1")
    ends(id_, "ROLLBACK_COMPLETE")
    aws("cloudformation").delete_stack(StackName=name, ClientRequestToken="token-2")
    ends(id_, "DELETE_COMPLETE")
    told = [message(url)["Body"] for _ in range(5)]
    assert [e["detail"]["status-details"]["status"] for e in told] == [
        "CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
    event = told[1]
    assert event["resources"] == [id_] and event["detail"]["stack-id"] == id_ and event["source"] == "aws.cloudformation"
    assert "failed to create: [A]" in event["detail"]["status-details"]["status-reason"]
    assert event["detail"]["client-request-token"] == "token-1" and told[4]["detail"]["client-request-token"] == "token-2"
    assert set(event) == {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
    sent = control("GET", f"events?text={name}&detail_type=Resource")["events"]
    assert sent[0]["Detail"]["logical-resource-id"] == "A" and sent[0]["Detail"]["resource-type"] == "AWS::SQS::Queue"


@check
def s3_events_carry_version_and_key_as_they_are():
    url, arn = queue("events.amazonaws.com")
    home = bucket()
    rule({"source": ["aws.s3"], "detail-type": ["Object Created"],
          "detail": {"bucket": {"name": [home]}, "object": {"key": [{"wildcard": "home/*/*.cf-create"}]}}}, arn)
    for other in ("home/alice/a.cf-created", "other/alice/a.cf-create"):
        aws("s3").put_object(Bucket=home, Key=other, Body=b"{}")
    version = aws("s3").put_object(Bucket=home, Key="home/alice/my dir/a+b.cf-create", Body=b"{}")["VersionId"]
    detail = message(url)["Body"]["detail"]
    found = detail["object"]
    assert found["key"] == "home/alice/my dir/a+b.cf-create" and found["version-id"] == version and found["size"] == 2
    assert re.fullmatch("[0-9A-F]+", found["sequencer"]) and len(found["etag"]) == 32 and detail["reason"] == "PutObject"
    # Copies, multipart uploads and unversioned buckets tell as well.
    aws("s3").copy_object(Bucket=home, Key="home/bob/c.cf-create", CopySource={"Bucket": home, "Key": found["key"]})
    assert message(url)["Body"]["detail"]["reason"] == "CopyObject"
    upload = aws("s3").create_multipart_upload(Bucket=home, Key="home/bob/m.cf-create")["UploadId"]
    part = aws("s3").upload_part(Bucket=home, Key="home/bob/m.cf-create", UploadId=upload, PartNumber=1, Body=b"{}")
    aws("s3").complete_multipart_upload(Bucket=home, Key="home/bob/m.cf-create", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert message(url)["Body"]["detail"]["reason"] == "CompleteMultipartUpload"


@check
def a_direct_notification_reaches_a_function():
    url, arn = queue()
    name, function_arn = function(f"aws('sqs').send_message(QueueUrl='{url}', MessageBody=json.dumps(event))")
    permit(name, "s3.amazonaws.com", "arn:aws:s3:::home")
    home = bucket(LambdaFunctionConfigurations=[{
        "LambdaFunctionArn": function_arn, "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "home/"}, {"Name": "suffix", "Value": ".cf-create"}]}}}])
    aws("s3").put_object(Bucket=home, Key="home/a b/x+y.cf-create", Body=b"{}")
    record = message(url)["Body"]["Records"][0]
    assert record["s3"]["object"]["key"] == "home/a+b/x%2By.cf-create" and record["eventName"] == "ObjectCreated:Put"
    assert record["s3"]["object"]["versionId"] and record["s3"]["object"]["sequencer"]
    calls = control("GET", f"calls?caller=function/{name}")
    assert [c["call"] for c in calls["calls"]] == ["sqs.SendMessage"], calls


@check
def a_direct_notification_reaches_a_queue_and_by_its_mapping_a_function():
    url, _ = queue()
    name, function_arn = function(f"aws('sqs').send_message(QueueUrl='{url}', MessageBody=json.dumps(event))")
    _, reports = queue("s3.amazonaws.com")
    aws("lambda").create_event_source_mapping(
        EventSourceArn=reports, FunctionName=name, BatchSize=1000, MaximumBatchingWindowInSeconds=10,
        FunctionResponseTypes=["ReportBatchItemFailures"], ScalingConfig={"MaximumConcurrency": 2})
    home = bucket(QueueConfigurations=[{
        "QueueArn": reports, "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "nodes/"}, {"Name": "suffix", "Value": ".json"}]}}}])
    for key in ("nodes/a/x.txt", "ledger/a.json", "nodes/a/x+y z.json"):
        aws("s3").put_object(Bucket=home, Key=key, Body=b"{}")
    bodies = [json.loads(record["body"]) for record in message(url, 60)["Body"]["Records"]]
    # S3's message for a test may be among them.
    keys = [record["s3"]["object"]["key"] for body in bodies for record in body.get("Records", [])]
    if not keys:
        bodies = [json.loads(record["body"]) for record in message(url, 60)["Body"]["Records"]]
        keys = [record["s3"]["object"]["key"] for body in bodies for record in body.get("Records", [])]
    assert keys == ["nodes/a/x%2By+z.json"], keys


@check
def a_failing_function_is_tried_three_times_and_then_told_of():
    url, arn = queue()
    name, function_arn = function("raise ValueError('never works')")
    aws("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn}})
    started = time.monotonic()
    source = rule({"source": [name]}, function_arn)
    permit(name, "events.amazonaws.com", source)
    aws("events").put_events(Entries=[{"Source": name, "DetailType": "x", "Detail": '{"a": 1}'}])
    record = message(url, 20)["Body"]
    assert time.monotonic() - started > 1.7, "it waits 60 s and 120 s, by the clock of this check"
    assert record["requestContext"]["approximateInvokeCount"] == 3 and record["requestPayload"]["detail"] == {"a": 1}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responsePayload"]["errorMessage"] == "never works", record


@check
def a_retry_can_succeed_and_a_throttled_event_is_kept():
    url, _ = queue()
    name, _ = function(f"time.sleep(0.4); aws('sqs').send_message(QueueUrl='{url}', MessageBody=json.dumps(event))")
    order(kind="function", function=name, do="crash", times=2)
    aws("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for number in range(4):
        aws("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"n": number}))
    assert {message(url, 20)["Body"]["n"] for _ in range(4)} == {0, 1, 2, 3}


@check
def a_dead_letter_is_the_bare_event():
    url, arn = queue()
    name, _ = function("raise ValueError('no')", DeadLetterConfig={"TargetArn": arn})
    aws("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    aws("lambda").invoke(FunctionName=name, InvocationType="Event", Payload='{"a": 1}')
    assert message(url)["Body"] == {"a": 1}


@check
def an_undeliverable_event_goes_to_the_rules_dead_letters():
    url, arn = queue()
    name, function_arn = function("pass")
    rule({"source": [name]}, function_arn, arn)  # nobody permitted the rule to call it
    aws("events").put_events(Entries=[{"Source": name, "DetailType": "x", "Detail": "{}"}])
    found = message(url)
    assert found["Body"]["source"] == name
    assert found["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS", found


@check
def a_queue_feeds_a_function_in_batches():
    url, _ = queue()
    source, source_arn = queue()
    name, _ = function(f"aws('sqs').send_message(QueueUrl='{url}', MessageBody=json.dumps(len(event['Records'])))")
    aws("lambda").create_event_source_mapping(FunctionName=name, EventSourceArn=source_arn, BatchSize=10,
                                              MaximumBatchingWindowInSeconds=300)  # three seconds here
    for number in range(3):
        aws("sqs").send_message(QueueUrl=source, MessageBody=str(number))
        time.sleep(0.2)
    assert message(url)["Body"] == 3


@check
def schedules_fire_by_their_clock_and_by_hand():
    for name, rate in ((unique("quick"), "rate(1 minute)"), (unique("sweep"), "rate(5 hours)")):
        url, arn = queue("events.amazonaws.com")
        aws("events").put_rule(Name=name, ScheduleExpression=rate)
        aws("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
        if "sweep" in name:
            assert control("POST", "fire", {"schedule": name})["fired"] == [name]
        body = message(url)["Body"]
        assert body["detail-type"] == "Scheduled Event" and name in body["resources"][0], body


@check
def events_can_be_lost_doubled_and_made():
    url, arn = queue("events.amazonaws.com")
    word = unique("word")
    rule({"detail": {"word": [word]}}, arn)
    event = {"source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",
             "detail": {"word": word, "n": 1}}
    order(kind="event", text=f'"{word}", "n": 1', do="drop")
    order(kind="event", text=f'"{word}", "n": 2', do="double")
    for number in (1, 2, 3):
        control("POST", "events", {**event, "detail": {"word": word, "n": number}})
    assert sorted(message(url)["Body"]["detail"]["n"] for _ in range(3)) == [2, 2, 3]
