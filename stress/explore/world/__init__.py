"""What is explored: `scene` a small world of the allocators with its tasks, `bare` a machine with nothing on it;
`names` of words, the `guard` that sees a use after free, the `oracles` that look at rest.

Imports `explore.space`, `allocators` and `shm`.
"""
