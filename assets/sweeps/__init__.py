"""Sweeps: ask each source's services for what has happened, since a webhook's delivery may be lost."""
