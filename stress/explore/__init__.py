"""The explorer: every interleaving of the same source, by a scheduler that owns every step.

    task, bodies        one flow of control; its greenlet
    space, scheduler, sharing   executions; who runs next; what tasks share
    strategies, search  random walk, PCT; budgets
    depth_first, footprint, shards  all schedules up to a bound; what segments touch; several processes
    clocks              data races
    bare, scene         a machine with nothing on it; a small world with tasks
    names, guard, oracles   what words are called; use after free; leaks, invariants
    races/              named models: the races of the 2014 review
    minimise, schedule, trace   a failing schedule made small, kept in a file, printed
    command, like       `python -m stress explore`; what went wrong in a run, explored
    testing             a test of your own, explored by `stress.pytest_plugin`
"""
