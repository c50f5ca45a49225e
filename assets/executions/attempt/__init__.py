"""One attempt at a task: baseline, targets, candidates, verification, evidence."""
