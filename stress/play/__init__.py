"""Playing: from options to what a run recorded.

    options, workload       what was asked for, checked; the tapes
    arena, compiled         a segment with a world and the tapes; the programs that a run needs
    coordinator             a run: prepare, play, gather
    stage                   what both ways to play are given
    parallel, worker        counted passes and launches by worker processes
    launch, launches        worlds side by side, played by turns; one launch after the other
    turns                   tapes cut into turns
    warm                    an arena of one CPU in which everything is warm
    serial                  all CPUs stepped by one process
    census                  what an arena at rest says
    replay, conform         a recorded kernel's life, and its recorded steps
    session                 what every command that plays shares

May import `measure` and what is below; neither `explore` nor `report`.
"""
