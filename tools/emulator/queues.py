"""SQS where services meet it: messages they send, the policy that lets them, batching windows, visibility."""

import time

from emulator import settings

HIDDEN_SECONDS_MIN = 2.0  # a scaled clock does not make functions quicker
HIDDEN_BATCH_SECONDS_MIN = 10.0  # nor when they are given a gathered batch


def send(arn: str, body: str, attributes: dict | None = None) -> bool:
    """Put a message into a queue as a service does. A queue that is gone loses it, as on AWS."""
    from ministack.core.concurrency import esm_wake
    from ministack.core.arn import parse_arn
    from ministack.services import sqs

    if sqs._queue_by_arn(arn) is None:
        return False
    url = sqs._queue_url(parse_arn(arn).resource)
    sqs._act_send_message({"QueueUrl": url, "MessageBody": body, "DelaySeconds": round(sqs.queue_delay(sqs._queue_by_arn(arn))), "MessageAttributes": {
        name: {"DataType": "String", "StringValue": str(value)[:1024] or "-"}
        for name, value in (attributes or {}).items()}}, url)
    esm_wake.set()
    return True


def lets_in(arn: str, service: str, source_arn: str) -> bool:
    """Whether the queue's own policy lets a service send for this source. MiniStack asks only under AUTH=true."""
    from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import sqs

    policy = sqs._queue_by_arn(arn)["attributes"].get("Policy")
    if not policy:
        return False
    context = EvalContext(
        principal_arn="*", principal_type="Service", principal_account="", action="sqs:SendMessage", resource_arn=arn,
        region=get_region(),
        secure_transport=True,  # AWS's services speak TLS among themselves
        service_context={"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()})
    return evaluate_resource_policy(policy, context, service=service).decision == "Allow"


def _window_seconds(queue_url: str) -> float:
    from ministack.services import lambda_svc

    name = queue_url.rsplit("/", 1)[-1]
    windows = [float(mapping.get("MaximumBatchingWindowInSeconds") or 0)
               for _, _, mapping in lambda_svc._iter_all_esms()
               if mapping.get("EventSourceArn", "").rsplit(":", 1)[-1] == name]
    return max(windows, default=0.0) * settings.WINDOW_SCALE


def install() -> None:
    """MiniStack hands a batch over at once; AWS waits until it is full or the window has passed."""
    from ministack.services import sqs

    plain_receive = sqs._receive_messages_for_esm

    def receive(queue_url, max_number):
        window, queue = _window_seconds(queue_url), sqs._get_q(queue_url)
        if window:
            now = time.time()
            waiting = [m for m in queue["messages"] if m.get("visible_at", 0) <= now]
            full = len(waiting) >= min(int(max_number or 1), 10)
            oldest = min((max(m["visible_at"], m.get("sent_at", 0)) for m in waiting), default=now)
            if not full and now - oldest < window:
                return []
        received = plain_receive(queue_url, max_number)
        least = HIDDEN_BATCH_SECONDS_MIN if window else HIDDEN_SECONDS_MIN
        hide = max(least, int(queue["attributes"].get("VisibilityTimeout", "30")) * settings.VISIBILITY_SCALE)
        for message in received:
            message["visible_at"] = time.time() + hide
        return received

    sqs._receive_messages_for_esm = receive
    # A queue's own delay is a wait that AWS prescribes, as far as services send to it.
    plain_delay = sqs.queue_delay
    sqs.queue_delay = lambda queue: plain_delay(queue) * settings.CLOCK
