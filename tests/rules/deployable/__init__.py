"""Whether CloudFormation takes a template, whatever its parameters are, and what a refused deletion leaves at work.

cfn-lint cannot tell: it skips what SAM makes, follows no Fn::Sub into a resource that is not there, and knows no Rules.
Run it by `python -m deployable`, with tools/ and tests/rules/ on Python's path.
"""
