"""Learns from edit histories how likely each edit of the engine `search` is: `python -m tests.bench.edit_priors`."""
