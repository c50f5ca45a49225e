"""Subjects that evals can run, put together from the stages."""
