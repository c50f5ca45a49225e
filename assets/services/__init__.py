"""A request for a service becomes a version of a type of durable objects: written, tried, judged and let out."""
