"""Nested stacks with a life of their own: the same creation and deletion as their parent, events included."""

from emulator import creation, deletion, existence


async def create(parent, name: str, properties: dict) -> tuple[str, dict]:
    from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
    from ministack.services.cloudformation import _stack_events, _stacks, engine, helpers, provisioners

    body, refusal = helpers._resolve_template({"TemplateURL": [properties.get("TemplateURL", "")]})
    if refusal is not None or not body:
        raise creation.Failed(f"TemplateURL must reference a valid S3 object: {properties.get('TemplateURL')}")
    template = engine._parse_template(body)
    provisioners._check_nested_stack_capabilities(parent.name, template)
    given = [{"Key": key, "Value": str(value)} for key, value in (properties.get("Parameters") or {}).items()]
    params = engine._resolve_parameters(template, given)
    existence.check(template, engine._evaluate_conditions(template, params))
    child_name = f"{parent.name}-{name}-{new_uuid()[:12].replace('-', '').upper()}"
    child_id = f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stack/{child_name}/{new_uuid()}"
    child = _stacks[child_name] = {
        "StackName": child_name, "StackId": child_id, "StackStatus": "CREATE_IN_PROGRESS", "StackStatusReason": "",
        "CreationTime": now_iso(), "LastUpdatedTime": now_iso(), "Description": template.get("Description", ""),
        "Parameters": [{"ParameterKey": k, "ParameterValue": v["Value"], "NoEcho": v["NoEcho"]}
                       for k, v in params.items()],
        "Tags": [t for t in properties.get("Tags", []) if not t["Key"].startswith("aws:")], "Outputs": [],
        "DisableRollback": True, "Capabilities": parent.stack.get("Capabilities", []), "_resources": {},
        "_template": template, "_template_body": body, "_resolved_params": params, "_region": get_region(),
        "_parent_stack_name": parent.name, "ParentId": parent.id, "RootId": parent.stack.get("RootId", parent.id),
        "RoleARN": parent.stack.get("RoleARN"),
    }
    _stack_events[child_id] = []
    deletion.tell_stack(child, "CREATE_IN_PROGRESS", "User Initiated")
    making = creation.Creation(child, template, params, disable_rollback=True)
    try:
        await making.run()
    finally:
        making.stop()
    if child["StackStatus"] != "CREATE_COMPLETE":
        raise creation.Failed(f"Embedded stack {child_id} was not successfully created: {child['StackStatusReason']}",
                              child_id)
    return child_id, {f"Outputs.{o['OutputKey']}": o["OutputValue"] for o in child["Outputs"]}


async def delete(stack_id: str) -> None:
    from ministack.services.cloudformation import handlers

    child = handlers._resolve_stack(stack_id)
    if child is None or child["StackStatus"] == "DELETE_COMPLETE":
        return
    await deletion.delete(child)
    if child["StackStatus"] == "DELETE_FAILED":
        raise RuntimeError(f"Embedded stack {stack_id} was not successfully deleted: {child['StackStatusReason']}")
