"""From what a run recorded to what it means.

    records         what the coordinator fills in: blocks, censuses, samples
    evaluation      figures and ratios of them: a `Result`
    launches        what all of them say together: left out, and the parts of their spread
    turns           what a launch measured turn by turn; what was interrupted is left out
    turns_file      every turn in a sidecar of the result
    latency         quantiles of how long operations take
    trust           how far figures can be trusted, and why

May import `engine` (names of paths), `result`, `show` (units), `judge` and `process`.
"""
