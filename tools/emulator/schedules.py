"""Schedules: rules with rate(), and EventBridge Scheduler, on a clock that can be scaled; a test can fire one by hand."""

import time

from emulator import settings


def fire(name: str) -> list[str]:
    """Fire now every scheduled rule and schedule whose name contains this; their next regular turn starts from here."""
    from ministack.services import eventbridge, scheduler

    fired = []
    for last, store, tick in (
            (eventbridge._rule_last_fired, eventbridge._rules, eventbridge._tick_scheduled_rules),
            (scheduler._schedule_last_fired, scheduler._schedules, scheduler._tick_schedules)):
        due = {key: thing for key, thing in list(store._data.items())
               if name in thing["Name"] and thing.get("ScheduleExpression", "").startswith(("rate(", "cron("))}
        for key in due:
            last[key] = 0.0
        if due:
            tick()
        fired += [thing["Name"] for thing in due.values()]
    return fired


def install() -> None:
    from ministack.services import eventbridge, scheduler

    # MiniStack looks every ten seconds; a scaled clock needs closer looks.
    eventbridge._SCHEDULER_TICK_INTERVAL = scheduler._SCHEDULE_TICK_INTERVAL = 0.25
    plain_seconds = eventbridge._parse_rate_seconds

    def seconds(expression):
        found = plain_seconds(expression)
        return None if found is None else max(0.25, found * settings.RATE_SCALE)

    eventbridge._parse_rate_seconds = seconds
    # AWS counts from the moment the rule was made, also for a rule out of a template.
    from ministack.services.cloudformation import provisioners
    handler = provisioners._RESOURCE_HANDLERS["AWS::Events::Rule"]
    plain_create = handler["create"]

    def create(logical_id, properties, stack_name):
        name, attributes = plain_create(logical_id, properties, stack_name)
        for rule in eventbridge._rules.values():
            if rule["Arn"] == attributes["Arn"]:
                rule["CreationTime"] = time.time()
        return name, attributes

    handler["create"] = create
