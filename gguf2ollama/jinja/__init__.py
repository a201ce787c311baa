"""All that reads the text of chat templates: environment, facts, edits. Pure."""
