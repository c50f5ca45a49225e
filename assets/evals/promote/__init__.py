"""Makes a tested candidate the default, takes that back, and finds new candidates."""
