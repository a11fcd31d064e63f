"""The root key stands in for the Lambda service, which takes a function's role before it starts the function.

LocalEmu does that only for functions that it runs itself, for which it needs Docker. No other trust is widened: the
service role trusts CloudFormation alone, and root cannot take it.
"""

from localemu.services.sts import provider


def install() -> None:
    judged = provider._evaluate_trust_policy

    def evaluate(role, caller_arn, caller_account_id, **rest):
        if caller_arn.endswith(":root") and not rest.get("service_principal"):
            rest["service_principal"] = "lambda"
        return judged(role, caller_arn, caller_account_id, **rest)

    provider._evaluate_trust_policy = evaluate
