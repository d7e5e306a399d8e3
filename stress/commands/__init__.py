"""The command line: one thin module per command, with its options, help and exit status; `app` puts them together.

May import everything below, and imports what is heavy inside a command, so that `--help` answers at once.
"""
