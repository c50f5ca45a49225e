"""Price quotes for parcels, from a carrier's rate card."""
