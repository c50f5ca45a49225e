"""`penstock eval`, a module for each group of its commands."""
