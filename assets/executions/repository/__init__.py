"""A commit's files, what the repository says about itself, and how its tests are run."""
