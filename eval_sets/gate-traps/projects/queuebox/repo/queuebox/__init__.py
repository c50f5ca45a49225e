"""A queue of jobs with priorities, retries and rate limits."""
