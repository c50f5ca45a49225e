"""Linear maps from one embedding space to another, for while the old model is away."""
