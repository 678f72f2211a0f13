"""The command line: one small module a command, each thin over one call of the library."""
