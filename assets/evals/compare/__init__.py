"""Comparing two runs of one set: pairs of cases, effects, the verdict, drift, and the calibration of all of it."""
