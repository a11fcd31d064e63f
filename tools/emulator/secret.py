"""Secrets in templates: Ref is the secret's ARN, and a generated text follows the rules of GetRandomPassword.

MiniStack gives the name, and of GenerateSecretString it looks at length and excluded characters alone.
"""

import json


def _generated(asked: dict) -> str:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html"""
    from ministack.services import secretsmanager

    numbers, flags = ("PasswordLength",), ("ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase", "ExcludeLowercase", "IncludeSpace",
                                           "RequireEachIncludedType")
    given = {key: int(value) if key in numbers else str(value).lower() == "true" if key in flags else value
             for key, value in asked.items()}
    status, _, body = secretsmanager._get_random_password(given)
    answer = json.loads(body)
    if status != 200:
        raise ValueError(f"{answer.get('message') or answer.get('Message')} (Service: SecretsManager, Status Code: {status})")
    return answer["RandomPassword"]


def _text(properties: dict) -> str:
    asked = properties.get("GenerateSecretString")
    if asked is None:
        return properties.get("SecretString", "")
    if "SecretString" in properties:
        raise ValueError("You can't specify both SecretString and GenerateSecretString.")
    template, key = asked.get("SecretStringTemplate"), asked.get("GenerateStringKey")
    if bool(template) != bool(key):
        raise ValueError("SecretStringTemplate and GenerateStringKey must be given together.")
    secret = _generated(asked)
    return json.dumps({**json.loads(template), key: secret}) if template else secret


def install() -> None:
    from ministack.services import secretsmanager
    from ministack.services.cloudformation import provisioners

    provisioners._sm_secret_string = _text
    handler = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    plain_create, plain_update, plain_delete = handler["create"], handler["update"], handler["delete"]

    def name(arn):
        return next((known for known, secret in secretsmanager._secrets.items() if secret["ARN"] == arn), arn)

    def create(logical_id, properties, stack_name):
        _, attributes = plain_create(logical_id, properties, stack_name)
        return attributes["Id"], attributes

    def update(physical_id, *rest):
        _, attributes = plain_update(name(physical_id), *rest)
        return attributes["Id"], attributes

    handler.update(create=create, update=update,
                   delete=lambda physical_id, properties: plain_delete(name(physical_id), properties))
