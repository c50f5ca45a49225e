"""How fresh indexes are, how evals stand and whether a migration gets on, read for metrics, checks and commands."""
