"""Final verification of a patch on a clean checkout, and the gate that judges it."""
