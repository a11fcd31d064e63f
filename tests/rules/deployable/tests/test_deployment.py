"""Faults planted into template.yaml itself, in the form that SAM makes of it."""

import copy
import json
import unittest
from pathlib import Path

from cloudformation.names import Names
from translate import translated

from deployable.check import DEPLOYMENT_CHECKS, judge
from deployable.combinations import combinations, distinct
from deployable.guard import GUARD, not_guarded
from deployable.tests.small import ref, when

OURS = translated(Path(__file__).parents[4] / "template.yaml")


def faulty(change) -> dict:
    template = copy.deepcopy(OURS)
    change(template)
    return template


def wrong(change) -> list[str]:
    return judge(faulty(change), DEPLOYMENT_CHECKS)[1]


class Deployment(unittest.TestCase):
    def seen(self, sentence: str, change):
        found = wrong(change)
        self.assertTrue(any(sentence in it for it in found), f"{sentence!r} is not in {found}")

    def test_as_it_is_nothing_is_wrong_in_any_combination(self):
        count, found = judge(OURS, DEPLOYMENT_CHECKS)
        self.assertEqual(found, [])
        # Buckets (2 x 2), foundation, concurrency and trigger, each with or without; the network own, ours, or ours with a NAT.
        self.assertGreaterEqual(count, 2 * 2 * 2 * 2 * 2 * 3)

    def test_the_first_faults_of_their_kinds_are_seen(self):
        def bucket_waits_for_permissions(t):
            t["Resources"]["Homes"]["DependsOn"] = ["CfCreateFromBucket", "CfDeleteFromBucket"]

        def typo_behind_a_function_s_name(t):  # cfn-lint takes whatever begins so for something that SAM will make
            t["Resources"]["Homes"]["DependsOn"] = "CfCreateFromBuckt"

        def ref_to_what_may_not_exist(t):
            t["Resources"][GUARD]["Properties"]["After"].append(ref("Nat"))

        def output_without_condition(t):
            t["Outputs"]["Address"] = {"Value": ref("NatAddress")}

        def attribute_within_text(t):
            t["Resources"]["Alarms"]["Properties"]["DisplayName"] = {"Fn::Sub": "see ${Creates.Arn}"}

        def circle(t):
            t["Resources"]["Vpc"]["DependsOn"] = "LoginRouteOut"

        for sentence, change in (
            ("DependsOn names CfCreateFromBucket, which does not exist, because TriggerIsBucket", bucket_waits_for_permissions),
            ("DependsOn names CfDeleteFromBucket, which does not exist, because TriggerIsBucket", bucket_waits_for_permissions),
            ("DependsOn names CfCreateFromBuckt, which is nowhere", typo_behind_a_function_s_name),
            ("Ref names Nat, which does not exist, because MakeNat", ref_to_what_may_not_exist),
            ("Outputs.Address.Value.Ref: Ref names NatAddress", output_without_condition),
            ("Fn::Sub names Creates.Arn, which does not exist, because TriggerIsBus", attribute_within_text),
            ("InternetGatewayAttachment, LoginRouteOut, ", circle),
        ):
            with self.subTest(change.__name__):
                self.seen(sentence, change)

    def test_others_of_the_same_kinds_are_seen(self):
        def guarded_by_too_little(t):  # holds in the network that we make, with or without a NAT
            t["Resources"][GUARD]["Properties"]["After"].append(when("MakeNetwork", ref("Nat")))

        def branches_the_wrong_way_round(t):
            t["Resources"]["CfWatch"]["Properties"]["Environment"]["Variables"]["CLUSTERDROP_VPC"] = when("MakeNetwork", ref("VpcId"), ref("Vpc"))

        def circle_with_one_trigger(t):
            t["Resources"]["CfCreateFromBucket"]["Metadata"] = {"After": when("MakeUserBucket", ref("HomesPolicy"))}

        def condition_lost(t):
            del t["Resources"]["ComputeRouteOut"]["Condition"]

        def condition_renamed(t):
            t["Conditions"]["MakeOwnNetwork"] = t["Conditions"].pop("MakeNetwork")

        def parameter_renamed(t):
            t["Parameters"]["UploadTrigger"] = t["Parameters"].pop("Trigger")

        def rule_lost_that_kept_a_subnet(t):
            del t["Rules"]["NetworkIsWholeOrAbsent"]
            t["Conditions"]["OwnSubnet"] = {"Fn::Equals": [ref("SubnetId"), ""]}
            t["Outputs"]["Subnet"] = {"Condition": "OwnSubnet", "Value": ref("LoginSubnet")}

        for sentence, change in (
            ("Ref names Nat, which does not exist, because MakeNat does not hold", guarded_by_too_little),
            ("Ref names Vpc, which does not exist, because MakeNetwork does not hold", branches_the_wrong_way_round),
            ("CfCreateFromBucket, Homes, HomesPolicy needs itself", circle_with_one_trigger),
            ("Resources.ComputeRouteOut.Properties.NatGatewayId.Ref: Ref names Nat", condition_lost),
            ("Conditions.MakeNat.Fn::And.0.Condition: Condition names MakeNetwork, which is no condition", condition_renamed),
            ("Conditions.TriggerIsBus.Fn::Equals.0.Ref: Ref names Trigger, which is nowhere", parameter_renamed),
            ("Outputs.Subnet.Value.Ref: Ref names LoginSubnet", rule_lost_that_kept_a_subnet),
        ):
            with self.subTest(change.__name__):
                self.seen(sentence, change)

    def test_each_thing_that_the_guard_does_not_wait_for_is_seen(self):
        """The guard's list is shortened by each of its lines in turn. It need not be seen where another line leads there too."""
        guard = OURS["Resources"][GUARD]
        lines = [("DependsOn", at, name) for at, name in enumerate(guard["DependsOn"])]
        lines += [("After", at, item["Fn::If"][1]["Ref"]) for at, item in enumerate(guard["Properties"]["After"])]
        found, elsewhere = distinct(combinations(OURS), Names(OURS).deciding()), 0
        for where, at, name in lines:
            def shorten(t, where=where, at=at):
                it = t["Resources"][GUARD]
                del (it if where == "DependsOn" else it["Properties"])[where][at]

            template = faulty(shorten)
            names = Names(template)
            sentences = {s for it in found for s in not_guarded(names, it.holds)}
            if any(f'"{name}"' in json.dumps(it) for other, it in template["Resources"].items() if other != name):
                elsewhere += 1
                continue
            with self.subTest(name):
                self.assertIn(f"Resources.{name} is not needed by {GUARD}, so a deletion that is refused takes it away", sentences)
        self.assertLess(elsewhere, len(lines) / 4)

    def test_what_a_refused_deletion_would_take_is_seen_in_the_combination_that_has_it(self):
        def new_resource(t):
            t["Resources"]["Another"] = {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": ref("Alarms")}}

        def waits_in_one_combination_only(t):
            t["Resources"][GUARD]["Properties"]["After"] = [
                when("MakeNat", it["Fn::If"][1]) if it["Fn::If"][1] == ref("S3Endpoint") else it
                for it in t["Resources"][GUARD]["Properties"]["After"]]

        def guard_is_optional(t):
            t["Resources"][GUARD]["Condition"] = "MakeNetwork"

        for sentence, change in (
            (f"Resources.Another is not needed by {GUARD}", new_resource),
            (f"Resources.S3Endpoint is not needed by {GUARD}", waits_in_one_combination_only),
            (f"Resources.{GUARD}, which refuses the deletion of a deployment with clusters, does not exist", guard_is_optional),
        ):
            with self.subTest(change.__name__):
                self.seen(sentence, change)

    def test_an_exception_counts_and_one_that_is_none_is_seen(self):
        holds = combinations(OURS)[0].holds
        names = Names(faulty(lambda t: t["Resources"].update(Another={"Type": "AWS::SNS::Topic"})))
        self.assertEqual(not_guarded(names, holds, may_go={"Another": "nobody uses it"}), [])
        self.assertEqual(not_guarded(names, holds, may_go={"Another": "nobody uses it", "Alarms": "for a test"}),
                         [f"Resources.Alarms may go, it is said, but {GUARD} needs it"])
