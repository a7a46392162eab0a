"""The command line: one module a command. Each reads arguments, calls, prints, exits."""
