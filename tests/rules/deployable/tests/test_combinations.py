"""Which combinations of conditions can occur."""

import unittest

from deployable.check import TEMPLATE_CHECKS, judge
from deployable.combinations import combinations
from deployable.tests.small import equals, ref, resource, template, wrong


def seen(parameters: dict, conditions: dict, rules: dict | None = None) -> set[str]:
    """Of each combination, the conditions that hold, in a word."""
    found = combinations({"Parameters": parameters, "Conditions": conditions, "Rules": rules or {}})
    return {" ".join(name for name, holds in it.holds.items() if holds) for it in found}


def never(*assertions, **more) -> dict:
    return {"R": {"Assertions": [{"Assert": each} for each in assertions], **more}}


class Combinations(unittest.TestCase):
    def test_a_parameter_takes_its_allowed_values_and_no_others(self):
        conditions = {"A": equals("P", "a"), "B": equals("P", "b"), "C": equals("P", "c")}
        self.assertEqual(seen({"P": {"AllowedValues": ["a", "b"]}}, conditions), {"A", "B"})
        self.assertEqual(seen({"P": {"AllowedValues": ["a", "b", "x", "y"]}}, conditions), {"A", "B", ""})
        self.assertEqual(seen({"P": {}}, conditions), {"A", "B", "C", ""})
        self.assertEqual(seen({"P": {"Type": "Number", "AllowedValues": [0, 8]}}, {"A": equals("P", 0)}), {"A", ""})

    def test_constraints_exclude_values(self):
        empty = {"A": equals("P", "")}
        self.assertEqual(seen({"P": {"AllowedPattern": "^(vpc-[0-9a-f]+)?$"}}, empty), {"A", ""})
        self.assertEqual(seen({"P": {"AllowedPattern": "^vpc-[0-9a-f]+$"}}, empty), {""})
        self.assertEqual(seen({"P": {"MinLength": 1}}, empty), {""})
        self.assertEqual(seen({"P": {"Type": "Number", "MinValue": 1}}, {"A": equals("P", 0), "B": equals("P", 1)}), {"B", ""})

    def test_rules_exclude_combinations(self):
        both = {"A": equals("P", ""), "B": equals("Q", "")}
        either = {"Fn::Or": [{"Fn::And": [equals("P", ""), equals("Q", "")]},
                             {"Fn::And": [{"Fn::Not": [equals("P", "")]}, {"Fn::Not": [equals("Q", "")]}]}]}
        self.assertEqual(seen({"P": {}, "Q": {}}, both), {"", "A", "B", "A B"})
        self.assertEqual(seen({"P": {}, "Q": {}}, both, never(either)), {"", "A B"})
        self.assertEqual(seen({"P": {}, "Q": {}}, both, never(equals("Q", ""), RuleCondition=equals("P", ""))), {"", "B", "A B"})
        contains = {"Fn::Contains": [["", "x"], ref("P")]}
        self.assertEqual(seen({"P": {}, "Q": {}}, both, never(contains, equals("Q", ""))), {"B", "A B"})

    def test_a_rule_makes_sound_what_is_not_without_it(self):
        conditions = {"P": {"Fn::Not": [equals("VpcId", "")]}, "Q": {"Fn::Not": [equals("SubnetId", "")]}}
        resources = {"A": resource("P"), "B": resource("Q", DependsOn="A")}
        sections = {"Parameters": {"VpcId": {}, "SubnetId": {}}, "Conditions": conditions}
        rule = {"Assertions": [{"Assert": {"Fn::Not": [equals("VpcId", "")]}}], "RuleCondition": {"Fn::Not": [equals("SubnetId", "")]}}
        self.assertIn("DependsOn names A, which does not exist, because P does not hold", wrong(resources, **sections)[0])
        self.assertEqual(wrong(resources, **sections, Rules={"R": rule}), [])

    def test_parameters_that_are_compared_can_be_equal_and_different(self):
        same = {"A": {"Fn::Equals": [ref("P"), ref("Q")]}, "B": {"Fn::Equals": [ref("Q"), ref("R")]}}
        self.assertEqual(seen({"P": {}, "Q": {}, "R": {}}, same), {"", "A", "B", "A B"})
        self.assertEqual(seen({"P": {"AllowedValues": ["x"]}, "Q": {"AllowedValues": ["y", "z"]}, "R": {"AllowedValues": ["z"]}}, same), {"", "B"})

    def test_what_cannot_be_computed_comes_out_either_way_and_alike_everywhere(self):
        unknown = {"Fn::Equals": [{"Fn::FindInMap": ["M", ref("AWS::Region"), "x"]}, "yes"]}
        self.assertEqual(seen({}, {"A": unknown, "B": {"Fn::Not": [unknown]}}), {"A", "B"})

    def test_a_condition_that_cannot_change_and_rules_that_nothing_keeps_are_seen(self):
        self.assertIn("Conditions.Never never holds", wrong({}, Conditions={"Never": equals("Mode", "wied")})[0])
        self.assertIn("Conditions.Always always holds", wrong({}, Conditions={"Always": {"Fn::Not": [equals("Mode", "wied")]}})[0])
        self.assertEqual(wrong({}, Rules=never(equals("Mode", "wied"))), ["Rules: no parameters keep them"])

    def test_every_combination_is_judged_once(self):
        many = {f"C{n}": equals(f"P{n}", "") for n in range(6)}
        parameters = {f"P{n}": {} for n in range(6)}
        self.assertEqual(judge(template({}, Parameters=parameters, Conditions=many), TEMPLATE_CHECKS), (2 ** 7, []))

    def test_too_many_choices_are_refused_and_not_begun(self):
        many = {f"C{n}": equals(f"P{n}", "") for n in range(30)}
        for conditions in (many, {"All": {"Fn::And": list(many.values())}}):
            with self.assertRaisesRegex(ValueError, "more than the 200000"):
                combinations({"Conditions": conditions})

    def test_what_has_no_parameter_in_common_is_looked_at_apart(self):
        many = {f"C{n}": {"Fn::And": [equals(f"P{n}", str(value)) for value in range(20)]} for n in range(8)}
        self.assertEqual(len(combinations({"Conditions": many})), 1)
        chained = {"A": equals("P", "x"), "B": {"Fn::And": [{"Condition": "A"}, equals("Q", "x")]}, "C": equals("R", "x")}
        self.assertEqual(seen({}, chained), {"", "A", "A B", "C", "A C", "A B C"})

    def test_conditions_that_no_name_hangs_on_are_not_multiplied_but_a_typo_within_them_is_seen(self):
        many = {f"C{n}": equals(f"P{n}", "") for n in range(14)}
        sections = {"Conditions": many, "Parameters": {f"P{n}": {} for n in range(14)}}
        price = {"Fn::If": ["C0", ref("Mode"), {"Fn::Sub": "${Mode}"}]}
        self.assertEqual(wrong({"A": resource(Properties={"A": price})}, **sections), [])
        for value in (ref("Mod"), {"Fn::GetAtt": ["Mode", "Arn"]}, {"Fn::If": ["C99", "", ""]}):
            found = wrong({"A": resource(Properties={"A": {"Fn::If": ["C0", value, {"Fn::If": ["C1", "", value]}]}})}, **sections)
            self.assertEqual(len(found), 2, found)
