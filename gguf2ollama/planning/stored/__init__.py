"""What is kept of plans: cached findings, and the record in a model of what it was made of."""
