"""Chat templates as text: the Jinja environment, facts found without running it, and edits. Pure."""
