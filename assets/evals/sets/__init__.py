"""Eval sets of every kind: how they are read, checked and extended."""
