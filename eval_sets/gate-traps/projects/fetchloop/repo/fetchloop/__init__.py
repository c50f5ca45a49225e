"""A small asynchronous client with retries and a cache."""
