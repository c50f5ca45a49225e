"""Which failing tests fail for their environment, and what is missing there; decided before anything is searched."""
