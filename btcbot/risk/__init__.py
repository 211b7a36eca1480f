"""One pure function per rule, and the limits they read."""
