"""What the command line prints: text, tables, JSON and their keys, progress bars, logs and errors."""
