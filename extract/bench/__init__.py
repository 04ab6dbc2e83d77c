"""How fast this machine extracts, next to its own encoder alone and to the loop of a user."""
