"""Measures what a patch changes beyond the tests, by running the original and the patched program in the sandbox."""
