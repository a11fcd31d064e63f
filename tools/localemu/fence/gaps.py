"""What the deployment and the functions rely on, and LocalEmu's services lack."""

import os
import tempfile
import time

from localemu.services.cloudformation.engine.v2 import change_set_model_preproc
from localemu.services.s3 import provider
from moto.ssm import models as ssm


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


# Where Debian names its images (https://wiki.debian.org/Cloud/AmazonEC2Image/Trixie), and one of LocalEmu's own for each processor.
_DEBIAN = "/aws/service/debian/release/13/latest/"
_IMAGES = {"amd64": "ami-04681a1dbd79675a5", "arm64": "ami-0e9271c829888680e"}


def _load_public(original):
    """The public parameters of Debian's images: LocalEmu has those of Amazon Linux alone, and nobody may write into /aws."""

    def load(self, key):
        original(self, key)
        name = str(key or "")
        if name.startswith(_DEBIAN) and not dict.__contains__(self, name) and (image := _IMAGES.get(name.removeprefix(_DEBIAN))):
            texts = {"description": None, "allowed_pattern": None, "keyid": None}
            parameter = ssm.Parameter(
                self.account_id, name, image, "String", **texts, last_modified_date=time.time(), version=1, data_type="text"
            )
            dict.__setitem__(self, name, [parameter])

    return load


def install() -> None:
    ssm.ParameterDict._check_loading_status = _load_public(ssm.ParameterDict._check_loading_status)
    # LocalEmu puts its own host's name there, and no TemplateURL would match the policies.
    change_set_model_preproc._AWS_URL_SUFFIX = "amazonaws.com"
    # It has a folder of its own for what buckets hold, beside any that it is told of.
    provider.DEFAULT_S3_TMP_DIR = os.path.join(tempfile.gettempdir(), "localemu-s3")
    provider.S3Provider.delete_object = _delete_object(provider.S3Provider.delete_object)
