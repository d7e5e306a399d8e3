"""Recordings of kernel events as people have them: ftrace text, `perf script`, `trace-cmd report`, trace.dat,
perf.data.

    source     what a file is, unpacked, block by block
    scan       compiled: text into columns of integers
    pair       compiled: which free belongs to which allocation
    compiled   how those two are compiled and kept
    reading    a recording, chunk by chunk, from text or Parquet
    naming     which cache an object is of
    parquet    the same columns as a file
    describe   what a recording holds, as data and in sentences
    workload   a recording as tapes
    record     `python -m stress record`
    command    `python -m stress import`

May import `stress.show` and below, and what is below that. `scenarios.traces` reads the laboratory's own two formats.
"""
