"""Everything above the allocators, floor by floor; each imports only what stands below it.

    commands/                       the command line, a thin module per command
    campaign/                       studies of thousands of jobs, on Dask
    bench/ claims/ calibrate/       studies that a command runs; they do not know each other
    machine/                        one of them: what this machine's accesses cost
    play/                           options, workload, arena, workers, parallel and serial play, replay, conformance
    explore/ report/ measure/       every interleaving; what people read; records become figures
    engine/ show/ result/           compiled loops that play tapes; terminal, pages, pictures; the result as data
    profiles/                       machines as data: what a profile says, how it is read; the shipped ones
    judge/                          ratios, verdicts, when to stop: pure functions
    process/                        how a process lives: errors, ending, log, host, files

`setup.cfg` holds the floors as contracts, and a test checks them.
"""
