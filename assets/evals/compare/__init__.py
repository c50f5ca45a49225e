"""Two runs of one set, compared: pairs, effects, verdict, calibration, drift."""
