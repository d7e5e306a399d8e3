"""What people would use instead: our allocators beside glibc's malloc, mimalloc, jemalloc and tcmalloc.

    catalogue   the programs, by name, and where a malloc's library is looked for
    tapes       what they play: pairs, batches of 32, random replacement, remote frees
    player      a process that plays one program (`python -m stress.bench.peers.player`)
    crew        the players from the other side: starts them, talks to them, ends them
    measure     all players in turns, paired ratios, memory
    result, goals, tables           the figures, what was promised of them, and both as tables

All play the same tapes by the same compiled loop, which calls either our allocator or a library's malloc
and free. Each has a process of its own: a library is then loaded beside no other, and what it holds is what
the process has grown by. Two CPUs are two threads, pinned.

Nobody is charged: objects come from root caches, as a malloc knows no cgroups. Objects are not written to
while time is taken, except by the allocator itself.
"""
