"""What DescribeStacks tells and MiniStack leaves out: the service role, the parent, the time of deletion."""

import re

_MEMBER = re.compile(r"<StackName>[^<]*</StackName><StackId>([^<]*)</StackId><StackStatus>")


def _extra(stack: dict) -> str:
    from ministack.services.cloudformation.helpers import _esc

    plain = "".join(f"<{key}>{_esc(str(stack[key]))}</{key}>"
                    for key in ("RoleARN", "ParentId", "RootId", "DeletionTime", "TimeoutInMinutes") if stack.get(key))
    arns = "".join(f"<member>{_esc(arn)}</member>" for arn in stack.get("NotificationARNs") or [])
    return f"{plain}<NotificationARNs>{arns}</NotificationARNs>"


def install() -> None:
    from ministack.services.cloudformation import handlers

    plain = handlers._describe_stacks

    def describe(params):
        status, headers, body = plain(params)
        if status == 200:
            text = _MEMBER.sub(lambda m: _extra(handlers._resolve_stack(m[1])) + m[0], body.decode())
            text = text.replace("<LastUpdatedTime></LastUpdatedTime>", "").replace(
                "<StackStatusReason></StackStatusReason>", "")
            body = text.encode()
        return status, headers, body

    handlers._ACTION_HANDLERS["DescribeStacks"] = describe
