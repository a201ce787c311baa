"""What a model takes in memory, and what this machine has. Reads the machine's free memory, nothing else."""
