"""How LocalEmu is started. It reads its environment while it is imported."""

import os
import tempfile

# The one key that is never judged: the tests' own hand, which makes the deployment and looks at the world after.
ROOT_KEY = "test"


def prepare_environment() -> None:
    folder = os.environ.get("CLUSTERDROP_FOLDER") or tempfile.mkdtemp(prefix="localemu")
    port = os.environ.get("GATEWAY_PORT", "4566")
    os.environ.update(
        IAM_ENFORCEMENT="1",
        ROOT_ACCESS_KEYS=ROOT_KEY,
        # Any other server of LocalEmu's listens on every address.
        GATEWAY_SERVER="hypercorn",
        GATEWAY_LISTEN=f"127.0.0.1:{port}",
        # No containers here: instances are entries in a table.
        EC2_VM_MANAGER="none",
        # What it has no maker for (launch templates, Auto Scaling groups, single rules) is entered as made.
        CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES="1",
        # What it writes, but for what buckets hold (gaps.py), and the certificate that it makes for itself, is below one folder.
        OVERRIDE_IN_DOCKER="0",
        FILESYSTEM_ROOT=folder,
        LOCALEMU_VOLUME_DIR=folder,
        CUSTOM_SSL_CERT_PATH=os.path.join(folder, "tls.pem"),
    )
