"""Plugins: switches with their code, designs, scenarios and machines that are not part of this repository.

`load` finds and loads them (`--plugin FILE`, `slab-stress.toml`, entry points); `registered` checks what one brings and
adds it to the tables that everything else reads; `skeleton` lays a new one out. What replaces a kernel function
is in `shm.hooks`.

Imports the tables of the allocators, scenarios and machines; the heavy ones only when there is a plugin.
"""
