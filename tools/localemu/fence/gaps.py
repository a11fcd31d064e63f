"""What the deployment and the functions rely on, and LocalEmu's services lack."""

import os
import tempfile

from localemu.services.cloudformation.engine.v2 import change_set_model_preproc
from localemu.services.s3 import provider


def _delete_object(original):
    """DELETE with If-Match, which S3 has for all buckets, and LocalEmu for none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html
    """

    def delete_object(self, context, bucket, key, *rest, if_match=None, **more):
        if if_match:
            _, held = self._get_cross_account_bucket(context, bucket)
            provider.verify_object_equality_precondition_write(held, key, if_match)
        return original(self, context, bucket, key, *rest, **more)

    return delete_object


def install() -> None:
    # LocalEmu puts its own host's name there, and no TemplateURL would match the policies.
    change_set_model_preproc._AWS_URL_SUFFIX = "amazonaws.com"
    # It has a folder of its own for what buckets hold, beside any that it is told of.
    provider.DEFAULT_S3_TMP_DIR = os.path.join(tempfile.gettempdir(), "localemu-s3")
    provider.S3Provider.delete_object = _delete_object(provider.S3Provider.delete_object)
