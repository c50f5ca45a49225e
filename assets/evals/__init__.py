"""Regression evals: sets of tasks, runs of subjects over them, and verdicts on whether a change is safe."""
