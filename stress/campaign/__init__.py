"""Campaigns: a study of thousands of jobs, played by Dask on one machine or many.

    jobs          what one job is, by kind: a serial run, a simulated point, a search of the explorer, a timed run
    study         the TOML file: a base, axes to cross and to zip, what to keep, when to stop
    plan          the study's points as jobs, each with the key that its result is kept under
    identity      sources and versions, which a result depends on as much as on its job
    outcome       what comes of a job: the same bytes whoever played it
    play, timed   a job is played; figures: what a table shows of it
    worker        what Dask calls on a worker
    engine        Dask: a cluster of our own or somebody's, and the loop that hands jobs out
    store         results and the catalogue, in SQLite
    stopping      which points need not be played any more
    estimate      what a study will take; programs: the compiled code it needs
    table         results as rows; dataset: as Parquet
    grid          rows as small multiples; differ: the cells that stand out; status, report, page: what people read
    command       what the command does; looking: what of it only looks; example: what `campaign new` writes

May import everything below `stress.commands`; Dask, Parquet and what plays are imported late. No other room knows this
one.
"""
