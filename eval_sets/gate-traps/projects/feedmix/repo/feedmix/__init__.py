"""Mixes several news feeds into one."""
