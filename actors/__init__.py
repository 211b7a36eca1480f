"""One operating-system process per module: State, handle, perform, main."""
