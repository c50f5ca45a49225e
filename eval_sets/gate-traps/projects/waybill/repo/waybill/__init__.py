"""Parcels: what they cost, and how they travel."""
