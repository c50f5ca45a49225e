"""From the event log to runs: one sensor a topic, the reconciler, and the sensor of due publications."""
