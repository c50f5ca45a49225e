"""Subjects that evals can run, composed of the stages."""
