"""The space of interleavings.

    task, bodies            one flow of control, a Machine; its greenlet
    space, scheduler, sharing       executions; who runs next; what tasks share
    footprint, clocks       what segments touch; data races by vector clocks
    violation               what can be wrong

Imports `shm` only.
"""
