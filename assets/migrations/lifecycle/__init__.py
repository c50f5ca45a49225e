"""A migration's stages: planned, begun, driven from stage to stage, steered by people."""
