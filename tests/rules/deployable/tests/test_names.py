"""Names that stand for nothing, and names that only look so."""

import unittest

from deployable.tests.small import ref, resource, when, wrong

MAYBE = {"Maybe": resource("Wide")}


class Names(unittest.TestCase):
    def seen(self, sentence: str, resources: dict, **sections):
        found = wrong(resources, **sections)
        self.assertTrue(any(sentence in it for it in found), f"{sentence!r} is not in {found}")

    def test_what_does_not_exist_is_seen_wherever_it_is_named(self):
        gone = "which does not exist, because Wide does not hold"
        for where, value in {
            "DependsOn": "Maybe",
            "Metadata": {"After": ref("Maybe")},
            "Properties": {"A": [{"B": ref("Maybe")}]},
            "UpdatePolicy": {"A": {"Fn::GetAtt": "Maybe.Arn"}},
            "CreationPolicy": {"A": {"Fn::GetAtt": ["Maybe", "Arn"]}},
        }.items():
            with self.subTest(where):
                self.seen(gone, {**MAYBE, "A": resource(**{where: value})})

    def test_it_is_seen_within_every_function(self):
        gone = "which does not exist, because Wide does not hold"
        for value in (
            {"Fn::Sub": "x-${Maybe}"},
            {"Fn::Sub": "x-${Maybe.TopicName}"},
            {"Fn::Sub": ["${Own}", {"Own": {"Fn::GetAtt": ["Maybe", "Arn"]}}]},
            {"Fn::Sub": ["${Own}${Maybe}", {"Own": "x"}]},
            {"Fn::Join": ["", ["a", {"Fn::Select": [0, [ref("Maybe")]]}]]},
            {"Fn::Base64": {"Fn::Sub": "${Maybe.Arn}"}},
            when("Wide", "", ref("Maybe")),
            when("Wide", ref("Maybe"), when("Wide", "", {"Fn::Sub": "${Maybe}"})),
        ):
            with self.subTest(value=value):
                self.seen(gone, {**MAYBE, "A": resource(Properties={"A": value})})

    def test_an_output_of_what_may_not_exist_is_seen_where_its_condition_does_not_guard_it(self):
        other = {"Conditions": {"Narrow": {"Fn::Not": [{"Condition": "Wide"}]}}}
        for output in ({"Value": ref("Maybe")}, {"Value": {"Fn::GetAtt": ["Maybe", "Arn"]}, "Condition": "Narrow"},
                       {"Value": "x", "Export": {"Name": {"Fn::Sub": "${Maybe}"}}}):
            with self.subTest(output=output):
                self.seen("Outputs.O.", {**MAYBE, "A": resource()}, **other, Outputs={"O": output})

    def test_a_typo_is_seen_in_each_section(self):
        for sentence, resources, sections in (
            ("DependsOn names Mayby, which is nowhere", {**MAYBE, "A": resource(DependsOn=["Mayby"])}, {}),
            ("Ref names Mod, which is nowhere", {"A": resource(Properties={"A": ref("Mod")})}, {}),
            ("Fn::Sub names AWS::Regoin, which is nowhere", {"A": resource(Properties={"A": {"Fn::Sub": "${AWS::Regoin}"}})}, {}),
            ("Conditions.B.Fn::Equals.0.Ref: Ref names Mod, which", {}, {"Conditions": {"B": {"Fn::Equals": [ref("Mod"), ""]}}}),
            ("Condition names Wid, which is no condition", {}, {"Conditions": {"B": {"Fn::Not": [{"Condition": "Wid"}]}}}),
            ("Rules.R.Assertions.0.Assert.Fn::Equals.0.Ref: Ref names Mod", {},
             {"Rules": {"R": {"Assertions": [{"Assert": {"Fn::Equals": [ref("Mod"), ""]}}]}}}),
            ("Resources.A.Condition: Condition names Wid, which is no condition", {"A": resource("Wid")}, {}),
            ("Outputs.O.Condition: Condition names Wid, which is no condition", {}, {"Outputs": {"O": {"Condition": "Wid", "Value": ""}}}),
            ("Fn::If names Wid, which is no condition", {"A": resource(Properties={"A": when("Wid", "")})}, {}),
        ):
            with self.subTest(sentence):
                self.seen(sentence, resources, **sections)

    def test_a_name_of_the_wrong_kind_is_seen(self):
        for sentence, resources, sections in (
            ("Fn::GetAtt names Mode.Arn, which is a parameter", {"A": resource(Properties={"A": {"Fn::GetAtt": ["Mode", "Arn"]}})}, {}),
            ("Fn::Sub names Mode.Arn, which is a parameter", {"A": resource(Properties={"A": {"Fn::Sub": "${Mode.Arn}"}})}, {}),
            ("DependsOn names Mode, which is a parameter", {"A": resource(DependsOn="Mode")}, {}),
            ("Ref names Wide, which is nowhere", {"A": resource(Properties={"A": ref("Wide")})}, {}),
            ("which is a resource: only parameters", {"A": resource()}, {"Conditions": {"B": {"Fn::Equals": [ref("A"), ""]}}}),
        ):
            with self.subTest(sentence):
                self.seen(sentence, resources, **sections)

    def test_a_circle_is_seen_also_where_it_needs_a_condition(self):
        for resources in (
            {"A": resource(DependsOn="A")},
            {"A": resource(DependsOn="B"), "B": resource(Properties={"A": {"Fn::Sub": "${A.Arn}"}})},
            {"A": resource(Metadata={"After": when("Wide", ref("C"))}), "B": resource(DependsOn="A"), "C": resource(DependsOn="B")},
            {"A": resource("Wide", DependsOn="B"), "B": resource(Properties={"A": when("Wide", {"Fn::GetAtt": "A.Arn"})})},
        ):
            with self.subTest(resources=resources):
                self.seen("needs itself to be made first", resources)

    def test_what_is_sound_is_let_pass(self):
        guarded = {"Wider": {"Fn::And": [{"Condition": "Wide"}, {"Fn::Equals": [ref("AWS::Region"), "eu-west-1"]}]}}
        for resources, sections in (
            ({**MAYBE, "A": resource(Metadata={"After": when("Wide", ref("Maybe"))})}, {}),
            ({**MAYBE, "A": resource("Wide", DependsOn="Maybe")}, {}),
            ({**MAYBE, "A": resource("Wider", DependsOn="Maybe")}, {"Conditions": guarded}),
            ({"A": resource(Properties={"A": {"Fn::Sub": ["${!Maybe}${Own}${Mode}${AWS::NoValue}", {"Own": "x"}]}})}, {}),
            ({"A": resource(Properties={"Policy": {"Statement": [{"Condition": {"StringEquals": {"a": "b"}}}]}})}, {}),
            ({"A": resource(Properties={"A": {"Fn::GetAtt": ["B", ref("Mode")]}}), "B": resource()}, {}),
            ({**MAYBE, "A": resource()}, {"Outputs": {"O": {"Condition": "Wide", "Value": ref("Maybe")}}}),
            # One needs the other, and the other the one, but never both.
            ({"A": resource(Metadata={"After": when("Wide", ref("B"))}), "B": resource(Metadata={"After": when("Wide", "", ref("A"))})}, {}),
        ):
            with self.subTest(resources=resources):
                self.assertEqual(wrong(resources, **sections), [])
