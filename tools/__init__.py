"""The drivers: one module per verb of the command ``hrnetae``; each parses arguments, calls and prints."""
