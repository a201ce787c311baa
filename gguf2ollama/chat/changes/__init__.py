"""Changes to chat templates that keep what they mean, and mend what Ollama makes of them."""
