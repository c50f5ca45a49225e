"""Reads web server logs and sums them up."""
