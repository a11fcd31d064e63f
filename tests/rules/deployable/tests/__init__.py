"""Each fault is planted, and seen: by `python -m unittest discover -t tests/rules -s tests/rules/deployable/tests`."""
