"""The context stage: git sources -> chunks -> postings and vectors -> ranked locations for a task."""
