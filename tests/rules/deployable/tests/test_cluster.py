"""Faults planted into templates/cluster.yaml: what a condition takes away must not be missed."""

import copy
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse

from deployable.check import TEMPLATE_CHECKS, judge
from deployable.tests.small import ref

OURS = yaml_parse((Path(__file__).parents[4] / "templates" / "cluster.yaml").read_text())


def wrong(change) -> list[str]:
    template = copy.deepcopy(OURS)
    change(template)
    return judge(template, TEMPLATE_CHECKS)[1]


class Cluster(unittest.TestCase):
    def test_as_it_is_nothing_is_wrong_in_any_combination(self):
        count, found = judge(OURS, TEMPLATE_CHECKS)
        self.assertEqual(found, [])
        # Spot or none, three ways of nodes on demand, a placement group, four homes, software, three of the site's.
        self.assertGreaterEqual(count, 2 * 3 * 2 * 4 * 2 * 3)

    def test_a_resource_that_may_not_be_there_is_missed(self):
        def output_of_a_group_without_its_condition(t):
            del t["Outputs"]["SpotGroupName"]["Condition"]

        def placement_without_its_condition(t):
            t["Resources"]["SpotLaunchTemplate"]["Properties"]["LaunchTemplateData"]["Placement"] = {"GroupName": ref("PlacementGroup")}

        def volume_on_the_other_side(t):
            t["Resources"]["LoginNode"]["Properties"]["Volumes"]["Fn::If"][1][0]["Fn::If"][1]["VolumeId"] = ref("HomeVolume")

        def door_within_text(t):
            t["Outputs"]["WebAccess"]["Value"] = {"Fn::Sub": "${HomeAccessPoint}"}

        def wait_for_a_group(t):
            t["Resources"]["LoginNode"]["DependsOn"] = "OnDemandGroup"

        for name, change in (
            ("SpotGroup", output_of_a_group_without_its_condition),
            ("PlacementGroup", placement_without_its_condition),
            ("HomeVolume", volume_on_the_other_side),
            ("HomeAccessPoint", door_within_text),
            ("OnDemandGroup", wait_for_a_group),
        ):
            with self.subTest(change.__name__):
                found = wrong(change)
                self.assertTrue(any(name in sentence and "does not exist" in sentence for sentence in found), found)

    def test_the_login_nodes_role_names_the_groups_and_does_not_need_them(self):
        def role_needs_group(t):
            statements = t["Resources"]["LoginRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            scale = next(s for s in statements if s["Sid"] == "Scale")
            scale["Resource"] = {"Fn::Sub": "arn:aws:autoscaling:::${SpotGroup}"}
            t["Resources"]["SpotGroup"]["DependsOn"] = "LoginNode"

        self.assertTrue(any("needs itself" in sentence for sentence in wrong(role_needs_group)))


if __name__ == "__main__":
    unittest.main()
