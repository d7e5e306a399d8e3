"""`python -m stress machine`: what this machine's accesses cost, written as a profile that simulations take.

    options    what was asked for, checked
    topology   cores, last-level caches and nodes, as the kernel tells them
    probes     the compiled loops that are timed
    timing     a probe again and again: median and spread
    memory     buffers that caches do not hold, in huge pages
    singles    what one CPU can measure alone: hits, atomics, caches, memory
    pairs      what takes two: a line that goes to and fro, a sleeper that is woken
    kernel     interrupts and grace periods by membarrier(2), the tick
    result     the measurements as data
    measure    all of them in turn
    assemble   the profile that they make, and what is to be known about it
    report     as text, TOML and JSON
    command    measure, write, print

May import `stress.play` and below. What a profile is: `stress.profiles`.
"""
