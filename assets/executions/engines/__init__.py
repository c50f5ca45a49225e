"""Engines propose candidate patches: `search` without a model, `model` with one."""
