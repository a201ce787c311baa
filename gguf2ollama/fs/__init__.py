"""Files written whole or not at all, and what is known of the disk. I/O, nothing of models."""
