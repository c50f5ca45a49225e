"""Plan to actions in the sandbox to a candidate patch with its evidence, and the gate that judges it."""
