"""The engine without a model: what sources say is selected, compared and quoted, never reworded."""
