"""`penstock eval`: one module for each group of commands."""
