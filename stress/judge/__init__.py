"""Ratios and what they allow to be said: pure functions.

    ratio       paired ratios with an interval
    verdict     equivalent, faster, slower, or cannot tell
    looks       when a run may look and stop
    margin      how near to 1 counts as equal

May import `process` (errors) only.
"""
