"""The scenarios, a module each; `scenarios.registry` names them. `kernel_files` and `kernel_caches` say what a kernel
allocates for files, pipes and sockets.

Imports `scenarios.tape`, `writer`, `sizing` and `parameters`.
"""
