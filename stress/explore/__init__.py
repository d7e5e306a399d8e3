"""The explorer: every interleaving of the same source, by a scheduler that owns every step.

    space/      tasks, who runs next, what tasks share, data races
    world/      scenes: a small world with tasks; what words are called; what may go wrong
    search/     depth first up to a bound, random walks, several processes; a failing schedule made small
    races/      named models: the races of the 2014 review
    found/      a failing schedule kept in a file, printed, published
    exploring   a request becomes an answer
    command, like       `python -m stress explore`; what went wrong in a run, explored
    testing     a test of your own, explored by `stress.pytest_plugin`

Inside: found > races, search > world > space. May import `result`, `process`, `allocators`, `shm`.
"""
