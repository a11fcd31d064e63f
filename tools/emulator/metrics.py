"""Metrics that AWS makes out of what happens, and alarms that look at their own: the depth of queues, and the embedded
metric format in functions' logs. MiniStack keeps what is put, and lets an alarm see every queue's or function's points.
"""

import json
import threading
import time

from emulator import settings

_OPERATORS = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


def _points(alarm: dict) -> list:
    from ministack.services import cloudwatch

    period = float(alarm.get("Period", 60)) * int(alarm.get("EvaluationPeriods", 1))
    wanted = cloudwatch._dims_key({d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []})
    found = cloudwatch._metrics.get((alarm.get("Namespace"), alarm.get("MetricName"), wanted)) or []
    return [point for point in found if point["Timestamp"] >= time.time() - period]


def _evaluate(alarm: dict) -> None:
    """All periods of an alarm as one: enough to see whether it moves."""
    from ministack.services import cloudwatch

    operator = _OPERATORS.get(alarm.get("ComparisonOperator", ""))
    points = _points(alarm)
    if operator is None or not points:
        return
    value = cloudwatch._calc_stats(points).get(alarm.get("Statistic", "Average"))
    old, new = alarm["StateValue"], "ALARM" if operator(value, alarm.get("Threshold", 0)) else "OK"
    if old == new:
        return
    reason = f"Threshold Crossed: {alarm.get('Statistic')} {value} against {alarm.get('Threshold')}"
    alarm.update(StateValue=new, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason)
    cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)


def _embedded(log: str) -> None:
    """Stores the metrics of log lines in the embedded format."""
    from ministack.services import cloudwatch

    for line in log.splitlines():
        try:
            record = json.loads(line) if '"_aws"' in line else {}
        except ValueError:
            continue
        for directive in (record.get("_aws") or {}).get("CloudWatchMetrics", []):
            for names in directive["Dimensions"]:
                for metric in directive["Metrics"]:
                    cloudwatch.record_metric(directive["Namespace"], metric["Name"], record[metric["Name"]],
                                             metric.get("Unit", "None"), {name: record[name] for name in names})


def _measure_queues() -> None:
    from ministack.core.responses import set_request_account_id, set_request_region
    from ministack.services import cloudwatch, sqs

    for key, queue in list(sqs._queues.all_items()):
        set_request_account_id(key[0])
        set_request_region(key[1])
        now = time.time()
        visible = [m for m in queue["messages"] if m["visible_at"] <= now]
        oldest = max((now - m.get("sent_at", now) for m in queue["messages"]), default=0.0)
        about = {"QueueName": queue["attributes"]["QueueArn"].rpartition(":")[2]}
        hidden = [m for m in queue["messages"] if m["visible_at"] > now and m["receive_count"] > 0]
        cloudwatch.record_metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", len(visible), "Count", about)
        cloudwatch.record_metric("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", len(hidden), "Count", about)
        cloudwatch.record_metric("AWS/SQS", "ApproximateAgeOfOldestMessage", oldest, "Seconds", about)
    cloudwatch._evaluate_all_alarms()


def _every_minute() -> None:
    while True:
        time.sleep(max(0.5, 60 * settings.CLOCK))
        _measure_queues()


def install() -> None:
    from ministack.services import cloudwatch, lambda_svc

    cloudwatch._evaluate_alarm = _evaluate
    plain_logs = lambda_svc._emit_lambda_logs

    def logs(func, request_id, log_text, *rest, **more):
        _embedded(log_text or "")
        return plain_logs(func, request_id, log_text, *rest, **more)

    lambda_svc._emit_lambda_logs = logs
    threading.Thread(target=_every_minute, daemon=True).start()
