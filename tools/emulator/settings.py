"""Every knob of the launcher, read from the environment once. What a knob does lives with the behaviour."""

import os


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        return float(text) if text else default
    except ValueError:
        raise SystemExit(f"emulator: {name}={text!r} is not a number")


HOST = "127.0.0.1"
PORT = int(_number("GATEWAY_PORT", 4566))
URL = f"http://{HOST}:{PORT}"

# How long one resource takes to be made, and to be deleted. AWS takes seconds to minutes; a test wants order, not time.
RESOURCE_SECONDS = _number("CLUSTERDROP_RESOURCE_SECONDS", 0.3)
DELETE_SECONDS = _number("CLUSTERDROP_DELETE_SECONDS", RESOURCE_SECONDS)

# How long a group's instance is Pending. EC2 takes ten seconds to a minute.
LAUNCH_SECONDS = _number("CLUSTERDROP_LAUNCH_SECONDS", RESOURCE_SECONDS)

# No node boots here, so the launcher signals in its stead after this long.
SIGNAL_SECONDS = _number("CLUSTERDROP_SIGNAL_SECONDS", 2.0)

# One factor for the waits that AWS prescribes (1 is AWS's own time), and each of them alone.
CLOCK = _number("CLUSTERDROP_CLOCK", 1.0)
RETRY_SECONDS = _number("CLUSTERDROP_RETRY_SECONDS", 60 * CLOCK)  # first wait of an asynchronous retry, then double
WINDOW_SCALE = _number("CLUSTERDROP_WINDOW_SCALE", CLOCK)  # batching windows of queues
VISIBILITY_SCALE = _number("CLUSTERDROP_VISIBILITY_SCALE", CLOCK)  # how long a failed message is hidden
RATE_SCALE = _number("CLUSTERDROP_RATE_SCALE", CLOCK)  # rate() schedules
TIMEOUT_SCALE = _number("CLUSTERDROP_TIMEOUT_SCALE", CLOCK)  # CreationPolicy and TimeoutInMinutes
# A group's pause after a launch that failed, doubled each time up to thirty times as much. AWS's own is not published.
LAUNCH_RETRY_SECONDS = _number("CLUSTERDROP_LAUNCH_RETRY_SECONDS", 20 * CLOCK)
# How long CloudFormation waits for a group to have its least size, or to be empty. AWS's is an hour or so.
GROUP_SECONDS = _number("CLUSTERDROP_GROUP_SECONDS", 200 * CLOCK)

# Whether launches and ends that went well are events, too, and not only those that failed. On AWS they are; here each would be an
# invocation of cf-watch more, in every test of a cluster that begins with nodes.
LAUNCH_EVENTS = os.environ.get("CLUSTERDROP_LAUNCH_EVENTS", "failed") == "all"


def prepare_environment() -> None:
    """What MiniStack reads from the environment while it is imported, so this runs first."""
    if os.environ.get("BIND_HOST", HOST) != HOST:
        raise SystemExit(f"emulator: it listens on {HOST} only, not on {os.environ['BIND_HOST']}")
    os.environ.update(
        BIND_HOST=HOST,
        GATEWAY_PORT=str(PORT),
        # "localhost" may be ::1 first, where nothing listens; custom resources answer to this name.
        MINISTACK_HOST=HOST,
        # Functions are told this address, and no other AWS.
        AWS_ENDPOINT_URL=URL,
        AWS_EC2_METADATA_DISABLED="true",
        # One port, no files.
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        PERSIST_STATE="0",
        S3_PERSIST="0",
        LAMBDA_EXECUTOR="local",
    )
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    os.environ.setdefault("MINISTACK_REGION", os.environ["AWS_DEFAULT_REGION"])
