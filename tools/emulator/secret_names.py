"""Secrets in templates: Ref is the secret's ARN, and MiniStack gives its name."""


def install() -> None:
    from ministack.services import secretsmanager
    from ministack.services.cloudformation import provisioners

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
