"""What is in the store, and who wants to know."""
