"""Machines as data: what a profile says, how one is read, checked and written, and the shipped ones (`*.toml`).

    profile    the profile of a machine, times in picoseconds, and what it must satisfy
    load       from TOML, by the name of a shipped one or from a file; to TOML

May import `stress.process`. Nothing here measures: `stress.machine` does.
"""
