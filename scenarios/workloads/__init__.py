"""The scenarios, a folder each; `scenarios.registry` finds them.

A folder's `__init__` states the question, what to expect, the parameters and `SCENARIO`, and imports no NumPy; its
`tapes` has the ``build(params, cpus, seed) -> Workload``. A module beside the folders is what several share:
`kernel_files` says what a kernel allocates for files, pipes and sockets.

Imports `scenarios.tape`, `writer`, `sizing`, `settings`, `parameters`, `scenario` and the orders of `traces.steps`.
"""
