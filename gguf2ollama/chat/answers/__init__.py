"""A model's answers: what it writes, how its turns end, and what Ollama reads in them."""
