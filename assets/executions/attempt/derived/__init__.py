"""Tests derived from the text of an issue, for when no test of the repository fails.

`derive.py` is the entry. One file for each kind of evidence in the text finds claims (`claims.py`): `doctests`,
`snippets`, `sentences`, `tables`, `tracebacks`, `commands`. `probe.py` has them looked at three times in the sandbox,
`choose.py` keeps those that fail for the stated reason, and `test_file.py` writes them as a test of the project.
"""
