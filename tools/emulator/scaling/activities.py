"""The activities of groups: what was tried, why, and how it ended (DescribeScalingActivities)."""

import datetime
import json

RECORDS_MAX = 100  # of a page (API reference)
_by_group: dict[str, list[dict]] = {}  # ARN of the group, also of one that is gone -> its activities, oldest first


class Refused(Exception):
    """What a call of Auto Scaling is answered instead: code and message."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


def now(milliseconds: bool = False) -> str:
    time = datetime.datetime.now(datetime.timezone.utc)
    return time.strftime("%Y-%m-%dT%H:%M:%S") + (f".{time.microsecond // 1000:03}Z" if milliseconds else "Z")


def begin(group: dict, description: str, cause: str, details: dict) -> dict:
    from ministack.core.responses import new_uuid

    activity = {
        "ActivityId": new_uuid(), "AutoScalingGroupName": group["AutoScalingGroupName"], "Description": description, "Cause": cause,
        "StartTime": now(milliseconds=True), "StatusCode": "InProgress", "Progress": 50, "Details": json.dumps(details),
        "AutoScalingGroupARN": group["AutoScalingGroupARN"]}
    _by_group.setdefault(group["AutoScalingGroupARN"], []).append(activity)
    return activity


def end(activity: dict, code: str = "Successful", message: str | None = None) -> None:
    """Nothing, where it has ended."""
    if "EndTime" in activity:
        return
    activity.update(StatusCode=code, Progress=100, EndTime=now())
    if message:
        activity["StatusMessage"] = message
        activity["Description"] += f".  Status Reason: {message}"


def last_words(group: dict) -> str:
    """Why the last one that failed did; else what the last one was."""
    found = _by_group.get(group["AutoScalingGroupARN"]) or [{"Description": "none"}]
    return next((a["StatusMessage"] for a in reversed(found) if "StatusMessage" in a), found[-1]["Description"])


def forget() -> None:
    _by_group.clear()


def describe(params: dict, living: dict[str, dict]) -> tuple[list[dict], str | None]:
    """A page, newest first, and the token of the next. `living`: groups by name."""
    from ministack.services import autoscaling

    name = autoscaling._p(params, "AutoScalingGroupName")
    ids = autoscaling._parse_member_list(params, "ActivityIds")
    of_gone = autoscaling._p(params, "IncludeDeletedGroups") == "true"
    if name and name not in living and not of_gone:
        raise unknown(name)
    arns = {group["AutoScalingGroupARN"] for group in living.values()}
    # Groups of other accounts and Regions have other ARNs.
    ours = next(iter(arns), autoscaling._asg_arn("x")).split(":autoScalingGroup:")[0]
    found = [activity for arn, activities in _by_group.items() if arn in arns or (of_gone and arn.startswith(f"{ours}:"))
             for activity in activities]
    found = [a for a in found if (not name or a["AutoScalingGroupName"] == name) and (not ids or a["ActivityId"] in ids)]
    # Of one millisecond, the later one stands further down in its group's list.
    found = sorted(reversed(found), key=lambda activity: activity["StartTime"], reverse=True)
    return page(found, params, RECORDS_MAX, RECORDS_MAX, lambda activity: activity["ActivityId"])


def unknown(name: str) -> Refused:
    """The words before the dash are what public code looks for; those after it are not known."""
    return Refused("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")


def page(found: list, params: dict, usual: int, most: int, token_of) -> tuple[list, str | None]:
    """The token names the last entry of a page, so that what is new meanwhile moves nothing."""
    from ministack.services import autoscaling

    text, token = autoscaling._p(params, "MaxRecords") or str(usual), autoscaling._p(params, "NextToken")
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refused("ValidationError", f"1 validation error detected: Value '{text}' at 'maxRecords' failed to satisfy constraint: "
                      f"Member must have value between 1 and {most}")
    if token:
        at = next((number for number, entry in enumerate(found) if token_of(entry) == token), None)
        if at is None:
            raise Refused("InvalidNextToken", "The token '********' is invalid.")
        found = found[at + 1:]
    taken = found[:int(text)]
    return taken, token_of(taken[-1]) if len(found) > len(taken) else None
