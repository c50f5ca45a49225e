"""Watches services: addresses, settings, states."""
