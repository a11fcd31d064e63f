"""Auto Scaling: groups that follow their desired capacity, and tell of every launch as AWS does.

MiniStack lists as many made-up instances as are desired, at once, and has no activities.
"""


def install() -> None:
    from ministack.services import autoscaling

    from emulator.scaling import activities, calls, groups, interruptions, stacks

    calls.install()
    stacks.install()
    # MiniStack calls it wherever a group's sizes have changed.
    autoscaling._reconcile_instances = lambda group: groups.soon(group["AutoScalingGroupName"])
    plain_clear = autoscaling._clear_state

    def clear():
        plain_clear()
        activities.forget()
        interruptions.forget()

    autoscaling._clear_state = clear
