"""Checks that CloudFormation refuses names that stand for nothing, as AWS does, and goes by those in the metadata."""

from emulator.selfcheck.requests import given
from emulator.selfcheck.world import QUEUE, TOPIC, aws, check, create, ends, order, refused, stack, story, template, unique

# `Maybe` exists where Mode is wide.
SECTIONS = {"Parameters": {"Mode": {"Type": "String", "Default": "narrow", "AllowedValues": ["narrow", "wide"]}},
            "Conditions": {"Wide": {"Fn::Equals": [{"Ref": "Mode"}, "wide"]}}}
MAYBE = {"Maybe": {**QUEUE, "Condition": "Wide"}}
WIDE = {"Parameters": given(Mode="wide")}
MISSING = "Template format error: Unresolved resource dependencies [Maybe] in the Resources block of the template"


def topic(**more) -> dict:
    return {"A": {**TOPIC, **more}, **MAYBE}


def named(value) -> dict:
    return topic(Properties={"DisplayName": value})


# Each names what exists only where Mode is wide, and is sound there.
FAULTY = (
    topic(DependsOn="Maybe"),
    topic(DependsOn=["Maybe"]),
    topic(Metadata={"After": {"Ref": "Maybe"}}),
    named({"Ref": "Maybe"}),
    named({"Fn::GetAtt": ["Maybe", "QueueName"]}),
    named({"Fn::GetAtt": "Maybe.QueueName"}),
    named({"Fn::Sub": "x-${Maybe.QueueName}"}),
    named({"Fn::Sub": ["${Own}", {"Own": {"Fn::GetAtt": ["Maybe", "QueueName"]}}]}),
    named({"Fn::If": ["Wide", {"Fn::GetAtt": ["Maybe", "QueueName"]}, {"Fn::Sub": "${Maybe.QueueName}"}]}),
)


@check
def a_stack_is_refused_where_a_name_stands_for_nothing_there():
    for resources in FAULTY:
        told = refused("ValidationError", create, resources, None, SECTIONS)
        assert told == MISSING, f"{resources}: {told}"
    name, id_ = create(FAULTY[0], sections=SECTIONS, **WIDE)
    ends(id_, "CREATE_COMPLETE")
    for resources in FAULTY[1:]:
        aws("cloudformation").validate_template(TemplateBody=template(resources, **SECTIONS))  # it knows no parameters
    told = refused("ValidationError", create, {"A": {**TOPIC, "DependsOn": ["Bee", "Cee"]}})
    assert told == MISSING.replace("Maybe", "Bee, Cee"), told
    body = template({"A": {**TOPIC, "DependsOn": "Bee"}})
    told = refused("ValidationError", aws("cloudformation").validate_template, TemplateBody=body)
    assert told == MISSING.replace("Maybe", "Bee"), told


@check
def a_change_set_is_refused_and_leaves_nothing_to_execute():
    client = aws("cloudformation")
    for resources in FAULTY:
        name = unique("changes")
        change = dict(StackName=name, ChangeSetName="c", ChangeSetType="CREATE")
        told = refused("ValidationError", client.create_change_set, **change, TemplateBody=template(resources, **SECTIONS))
        assert told == MISSING, f"{resources}: {told}"
        refused("ChangeSetNotFound", client.execute_change_set, ChangeSetName="c", StackName=name)
        assert "does not exist" in refused("ValidationError", stack, name)
    client.create_change_set(**change, TemplateBody=template(FAULTY[0], **SECTIONS), **WIDE)
    client.execute_change_set(ChangeSetName="c", StackName=name)
    ends(name, "CREATE_COMPLETE")


@check
def an_update_that_takes_a_condition_away_is_refused_and_changes_nothing():
    name, id_ = create(FAULTY[3], sections=SECTIONS, **WIDE)
    ends(id_, "CREATE_COMPLETE")
    narrow = dict(StackName=name, UsePreviousTemplate=True, Parameters=given(Mode="narrow"))
    assert refused("ValidationError", aws("cloudformation").update_stack, **narrow) == MISSING
    told = refused("ValidationError", aws("cloudformation").create_change_set, ChangeSetName="c", **narrow)
    assert told == MISSING and stack(name)["StackStatus"] == "CREATE_COMPLETE", told


@check
def an_output_of_what_does_not_exist_is_refused_unless_its_condition_guards_it():
    told = MISSING.replace("Resources block", "Outputs block")
    for output in ({"Value": {"Ref": "Maybe"}}, {"Value": {"Fn::GetAtt": ["Maybe", "Arn"]}}, {"Value": {"Fn::Sub": "${Maybe.Arn}"}}):
        sections = {**SECTIONS, "Outputs": {"O": output}}
        assert refused("ValidationError", create, topic(), None, sections) == told, output
    guarded = {**SECTIONS, "Outputs": {"O": {**output, "Condition": "Wide"}}}
    assert not ends(create(topic(), sections=guarded)[1], "CREATE_COMPLETE").get("Outputs")
    assert ends(create(topic(), sections=guarded, **WIDE)[1], "CREATE_COMPLETE")["Outputs"][0]["OutputValue"].startswith("arn:")


@check
def conditions_name_parameters_and_exist():
    equals = {"Fn::Equals": [{"Ref": "A"}, "x"]}
    for says, resources, sections in (
        ("Template format error: Unresolved dependencies [A]. Cannot reference resources in the Conditions block of the template",
         {"A": TOPIC}, {"Conditions": {"C": equals}}),
        ("Template error: unresolved condition dependency Wied in Fn::If", named({"Fn::If": ["Wied", "a", "b"]}), SECTIONS),
        ("Template error: unresolved condition dependency Wied in the Resources block of the template", topic(Condition="Wied"), SECTIONS),
        ("Template error: unresolved condition dependency Wied in the Conditions block of the template", topic(),
         {**SECTIONS, "Conditions": {**SECTIONS["Conditions"], "C": {"Fn::Not": [{"Condition": "Wied"}]}}}),
    ):
        told = refused("ValidationError", create, resources, None, sections)
        assert told == says, told


@check
def a_circle_is_refused_where_it_exists():
    round_about = {"A": {**TOPIC, "Metadata": {"After": {"Fn::If": ["Wide", {"Ref": "B"}, ""]}}}, "B": {**TOPIC, "DependsOn": "A"}}
    told = refused("ValidationError", create, round_about, None, SECTIONS, **WIDE)
    assert told == "Circular dependency between resources: [A, B]", told
    ends(create(round_about, sections=SECTIONS)[1], "CREATE_COMPLETE")
    told = refused("ValidationError", create, {"A": {**TOPIC, "DependsOn": {"Fn::If": ["Wide", "B", "C"]}}}, None, SECTIONS)
    assert told == "Template format error: Every DependsOn value must be a string.", told


@check
def a_reference_in_the_metadata_orders_what_is_made_and_what_goes():
    name = unique("after")
    order(kind="pace", stack=name, each=0.4)
    order(kind="pace", stack=name, on="delete", each=0.4)
    resources = topic(Metadata={"After": [{"Fn::If": ["Wide", {"Ref": "Maybe"}, ""]}]})
    _, id_ = create(resources, name, SECTIONS, **WIDE)
    ends(id_, "CREATE_COMPLETE")
    aws("cloudformation").delete_stack(StackName=name)
    ends(id_, "DELETE_COMPLETE")
    told = [(e["LogicalResourceId"], e["ResourceStatus"]) for e in story(id_)]
    assert told.index(("Maybe", "CREATE_COMPLETE")) < told.index(("A", "CREATE_IN_PROGRESS")), told
    assert told.index(("A", "DELETE_COMPLETE")) < told.index(("Maybe", "DELETE_IN_PROGRESS")), told
    ends(create(resources, sections=SECTIONS)[1], "CREATE_COMPLETE")


@check
def what_does_not_go_keeps_all_that_it_needs():
    name, id_ = create({"A": {**TOPIC, "DependsOn": "B"}, "B": {**QUEUE, "Metadata": {"After": {"Ref": "C"}}}, "C": TOPIC, "D": TOPIC})
    ends(id_, "CREATE_COMPLETE")
    order(kind="resource", stack=name, resource="A", on="delete", reason="refused")
    aws("cloudformation").delete_stack(StackName=name)
    ends(id_, "DELETE_FAILED")
    gone = {e["LogicalResourceId"] for e in story(id_) if e["ResourceStatus"].startswith("DELETE") and e["LogicalResourceId"] != name}
    assert gone == {"A", "D"}, gone


@check
def a_nested_stack_is_refused_as_well():
    bucket, child = unique("nested"), template({"A": {**TOPIC, "DependsOn": "Bee"}})
    aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws("s3").put_object(Bucket=bucket, Key="c.json", Body=child.encode())
    inner = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": f"https://{bucket}.s3.amazonaws.com/c.json"}}
    _, id_ = create({"Inner": inner})
    ends(id_, "ROLLBACK_COMPLETE")
    reasons = [e.get("ResourceStatusReason") for e in story(id_) if e["ResourceStatus"] == "CREATE_FAILED"]
    assert reasons == [MISSING.replace("Maybe", "Bee")], reasons
