"""llama.cpp's Jinja engine: it parses and runs a chat template as that does, and fails as that does."""
