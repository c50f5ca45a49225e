"""What Dagster loads and what a person starts: definitions, run launcher, daemon, supervisor, command line."""
