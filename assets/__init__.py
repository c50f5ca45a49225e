"""The stages of the work: a folder each, holding its Dagster assets and checks and the logic they call."""
