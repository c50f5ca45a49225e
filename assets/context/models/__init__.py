"""What migrations between embedding models need of the context stage."""
