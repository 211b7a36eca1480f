"""The SQLite journal: one writer, many readers."""
