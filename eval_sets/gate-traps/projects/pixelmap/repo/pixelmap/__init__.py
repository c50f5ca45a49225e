"""Maps made of characters: reading, filling, finding ways."""
