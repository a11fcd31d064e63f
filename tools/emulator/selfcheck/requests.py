"""Checks of what CloudFormation refuses and what its templates can say."""

import base64
import json

from emulator.selfcheck.world import (
    QUEUE, TOPIC, aws, check, create, ends, node, order, refused, stack, story, template, unique)

ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}}}


def given(**values):
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


@check
def parameters_are_checked():
    sections = {"Parameters": {"Size": {"Type": "String", "AllowedValues": ["small", "large"]},
                               "Count": {"Type": "Number", "Default": "1", "MaxValue": 4},
                               "Name": {"Type": "String", "Default": "a", "AllowedPattern": "[a-z]+"}}}
    ok = {"Size": "small"}
    for values, says in ((dict(ok, X="1", Y="2"), "Parameters: [X, Y] do not exist in the template"),
                         ({}, "Parameters: [Size] must have values"),
                         ({"Size": "huge"}, "Parameter 'Size' must be one of AllowedValues"),
                         (dict(ok, Count="5"), "Count"), (dict(ok, Name="A1"), "Name")):
        told = refused("ValidationError", create, {"A": QUEUE}, None, sections, Parameters=given(**values))
        assert says in told, told


@check
def capabilities_must_be_given():
    told = refused("InsufficientCapabilitiesException", create, {"R": ROLE})
    assert told == "Requires capabilities : [CAPABILITY_IAM]", told
    ends(create({"R": ROLE}, Capabilities=["CAPABILITY_IAM"])[1], "CREATE_COMPLETE")


@check
def names_and_tokens_are_remembered():
    name, id_ = create({"A": QUEUE}, ClientRequestToken="one")
    assert create({"A": QUEUE}, name, ClientRequestToken="one")[1] == id_
    refused("AlreadyExistsException", create, {"A": QUEUE}, name, ClientRequestToken="two")
    ends(id_, "CREATE_COMPLETE")
    assert {e["ClientRequestToken"] for e in story(id_)} == {"one"}
    aws("cloudformation").delete_stack(StackName=name)
    ends(id_, "DELETE_COMPLETE")
    refused("TokenAlreadyExistsException", create, {"A": QUEUE}, name, ClientRequestToken="one")
    create({"A": QUEUE}, name, ClientRequestToken="two")


@check
def a_role_must_exist_and_is_shown():
    refused("ValidationError", create, {"A": QUEUE}, RoleARN="arn:aws:iam::000000000000:role/nobody-there")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
    role = aws("iam").create_role(RoleName=unique("service"), AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    assert stack(create({"A": QUEUE}, RoleARN=role)[1])["RoleARN"] == role


@check
def unknown_types_and_empty_tags_are_refused():
    refused("ValidationError", create, {"A": {"Type": "AWS::EC2::Spaceship"}})
    refused("ValidationError", create, {"A": QUEUE}, Tags=[{"Key": "a", "Value": ""}])


@check
def a_template_is_read_by_its_aws_url():
    bucket = unique("templates")
    aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws("s3").put_object(Bucket=bucket, Key="t/a.json", Body=template({"A": QUEUE}).encode())
    for host in (f"{bucket}.s3.eu-west-1.amazonaws.com", f"s3.eu-west-1.amazonaws.com/{bucket}"):
        made = aws("cloudformation").create_stack(StackName=unique("url"), TemplateURL=f"https://{host}/t/a.json")
        ends(made["StackId"], "CREATE_COMPLETE")


@check
def the_functions_of_a_template_work():
    sections = {
        "Parameters": {"Ami": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
                               "AllowedPattern": "^/aws/service/.*$", "Default": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"},
                       "Kind": {"Type": "String", "Default": "r4.large-2C-15.25GB"},
                       "Price": {"Type": "Number", "Default": "0"}},
        "Mappings": {"Sizes": {"eu-west-1": {"Word": "mapped"}}},
        "Conditions": {"Spot": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Price"}, "0"]}]},
                       "Both": {"Fn::And": [{"Fn::Not": [{"Condition": "Spot"}]}, {"Fn::Equals": ["a", "a"]}]}},
        "Outputs": {
            "Split": {"Value": {"Fn::Select": [0, {"Fn::Split": ["-", {"Ref": "Kind"}]}]}},
            "Sub": {"Value": {"Fn::Sub": ["${AWS::Region}/${X}/${Q.QueueName}/${!L}", {"X": "y"}]}},
            "If": {"Value": {"Fn::If": ["Spot", "spot", "on-demand"]}},
            "Map": {"Value": {"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "Word"]}},
            "Join": {"Value": {"Fn::Join": ["+", ["a", {"Ref": "AWS::StackName"}]]}},
            "B64": {"Value": {"Fn::Base64": {"Fn::Sub": "#!/bin/sh ${Kind}"}}},
            "Ami": {"Value": {"Ref": "Ami"}},
            "Not": {"Condition": "Spot", "Value": "x"}},
    }
    resources = {"Q": QUEUE, "Never": {**TOPIC, "Condition": "Spot"}, "Both": {**TOPIC, "Condition": "Both"}}
    name, id_ = create(resources, sections=sections)
    found = {o["OutputKey"]: o["OutputValue"] for o in ends(id_, "CREATE_COMPLETE")["Outputs"]}
    assert found["Split"] == "r4.large" and found["If"] == "on-demand" and found["Map"] == "mapped", found
    assert found["Sub"].startswith("eu-west-1/y/") and found["Sub"].endswith("/${L}"), found
    assert found["Join"] == f"a+{name}" and found["Ami"].startswith("ami-") and "Not" not in found
    assert base64.b64decode(found["B64"]) == b"#!/bin/sh r4.large-2C-15.25GB"
    assert {r["LogicalResourceId"] for r in aws("cloudformation").list_stack_resources(
        StackName=name)["StackResourceSummaries"]} == {"Q", "Both"}


@check
def a_cluster_template_can_be_made_and_removed():
    ref, att = (lambda n: {"Ref": n}), (lambda n, a: {"Fn::GetAtt": [n, a]})
    resources = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
        "Gate": {"Type": "AWS::EC2::InternetGateway"},
        "GateIn": {"Type": "AWS::EC2::VPCGatewayAttachment",
                   "Properties": {"VpcId": ref("Vpc"), "InternetGatewayId": ref("Gate")}},
        "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": ref("Vpc")}},
        "Way": {"Type": "AWS::EC2::Route", "DependsOn": "GateIn", "Properties": {
            "RouteTableId": ref("Routes"), "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": ref("Gate")}},
        "Net": {"Type": "AWS::EC2::Subnet", "Properties": {
            "VpcId": ref("Vpc"), "CidrBlock": "10.7.1.0/24", "MapPublicIpOnLaunch": True}},
        "NetRoutes": {"Type": "AWS::EC2::SubnetRouteTableAssociation",
                      "Properties": {"SubnetId": ref("Net"), "RouteTableId": ref("Routes")}},
        "Wall": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
            "GroupDescription": "x", "VpcId": ref("Vpc"), "SecurityGroupIngress": [
                {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "192.0.2.0/24"}]}},
        "Inside": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {
            "GroupId": att("Wall", "GroupId"), "IpProtocol": "-1", "SourceSecurityGroupId": att("Wall", "GroupId")}},
        "Role": {**ROLE, "Properties": {**ROLE["Properties"], "Policies": [{"PolicyName": "p", "PolicyDocument": {
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}}]}},
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [ref("Role")]}},
        "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {
            "ImageId": "ami-0c2023a1b2c3d4e5f", "InstanceType": "t3.micro", "SecurityGroupIds": [att("Wall", "GroupId")],
            "IamInstanceProfile": {"Arn": att("Profile", "Arn")}, "MetadataOptions": {"HttpTokens": "required"}}}},
        "Nodes": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {
            "MinSize": "1", "MaxSize": "3", "DesiredCapacity": "2", "VPCZoneIdentifier": [ref("Net")],
            "LaunchTemplate": {"LaunchTemplateId": ref("Launch"), "Version": att("Launch", "LatestVersionNumber")},
            "Tags": [{"Key": "Name", "Value": "node", "PropagateAtLaunch": True}]},
            "CreationPolicy": {"ResourceSignal": {"Count": 2, "Timeout": "PT10M"}}},
        "Login": node(SubnetId=ref("Net"), SecurityGroupIds=[att("Wall", "GroupId")], IamInstanceProfile=ref("Profile"),
                      UserData={"Fn::Base64": {"Fn::Sub": "#!/bin/sh\necho ${AWS::StackName}"}}),
        "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc", "InstanceId": ref("Login")}},
        "Logs": {"Type": "AWS::Logs::LogGroup"},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
            "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "MetricName": "x", "Namespace": "y",
            "Period": 60, "Statistic": "Sum", "Threshold": 1}},
    }
    name, id_ = create(resources, sections={"Outputs": {"Ip": {"Value": ref("Address")}}},
                       Capabilities=["CAPABILITY_IAM"])
    assert ends(id_, "CREATE_COMPLETE")["Outputs"][0]["OutputValue"]
    group = aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    members = [i["InstanceId"] for g in group if name in g["AutoScalingGroupName"] for i in g["Instances"]]
    assert len(members) == 2, group
    aws("cloudformation").delete_stack(StackName=name)
    ends(id_, "DELETE_COMPLETE")
    found = aws("ec2").describe_instances(InstanceIds=members)["Reservations"]
    assert all(i["State"]["Name"] == "terminated" for r in found for i in r["Instances"]), found


@check
def a_nested_stack_tells_its_own_story():
    bucket, child = unique("nested"), template({"Good": TOPIC, "Bad": QUEUE})
    aws("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws("s3").put_object(Bucket=bucket, Key="c.json", Body=child.encode())
    inner = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": f"https://{bucket}.s3.amazonaws.com/c.json"}}
    _, id_ = create({"Inner": inner}, Tags=[{"Key": "USER", "Value": "bob"}])
    ends(id_, "CREATE_COMPLETE")
    name = unique("outer")
    order(kind="resource", stack=f"{name}-Inner", resource="Bad", reason="no more addresses")
    _, id_ = create({"Inner": inner}, name)
    ends(id_, "ROLLBACK_COMPLETE")
    failed = next(e for e in story(id_) if e["ResourceStatus"] == "CREATE_FAILED")
    assert "Embedded stack arn:" in failed["ResourceStatusReason"], failed
    below = stack(failed["PhysicalResourceId"])
    assert below["ParentId"] == id_ and below["StackStatus"] == "DELETE_COMPLETE", below
    assert any(e.get("ResourceStatusReason") == "no more addresses" for e in story(below["StackId"]))
