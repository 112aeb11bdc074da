"""What to throw: the catalogue of attack families. One file adds one; nothing in the engine imports them by name."""
