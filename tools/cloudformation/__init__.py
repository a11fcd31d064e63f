"""What CloudFormation reads out of a template before it makes anything: who names whom, what does not exist, in which order.

The emulator refuses by it what AWS refuses, and the rules (tests/rules/deployable) hold our own templates to it, so both
judge alike. Two Python environments import it: it needs nothing but the standard library.
"""
