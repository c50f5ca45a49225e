"""Whether the new model may take over: queries with known answers, statistics, observation."""
