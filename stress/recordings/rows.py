"""What a scan of a recording makes: columns and kinds of rows, what can be wrong with a line, what a scan keeps."""

from __future__ import annotations

# Columns of a row.
KIND, TIME, CPU, PID, COMM, PTR, REQ, ALLOC, SITE, GFP, NODE, ACCOUNTED, NAME, IRQ, LINE = range(15)
COLUMNS = 15

# Kinds of rows: the events that are read, then what a tracer says between them.
EVENTS = (
    "",
    "kmalloc",
    "kmalloc_node",
    "kmem_cache_alloc",
    "kmem_cache_alloc_node",
    "kfree",
    "kmem_cache_free",
    "mm_page_alloc",
    "cgroup_mkdir",
    "cgroup_rmdir",
    "cgroup_release",
    "cgroup_attach_task",
    "sched_process_fork",
    "sched_process_exit",
    "lost",
    "started",
)
KMALLOC, KMALLOC_NODE, CACHE_ALLOC, CACHE_ALLOC_NODE, KFREE, CACHE_FREE, PAGE_ALLOC = range(1, 8)
MKDIR, RMDIR, RELEASE, ATTACH, FORK, EXIT, LOST, STARTED = range(8, 16)
LAST_TRACED = EXIT

# What can be wrong with a line, by number: what was expected there.
PROBLEMS = (
    "a line of an event, “TASK-PID [CPU] … TIME: EVENT: …”",
    "a time stamp “SECONDS.FRACTION:” behind [CPU]",
    "a number of a CPU below 4096",
    "ptr= and an address",
    "ptr= and an address: “____ptrval____” stands for one before the kernel can hash it (boot with no_hash_pointers)",
    "bytes_req= and a number of bytes",
    "bytes_alloc= and a number of bytes",
    "the end of the line: the text ends within it",
    "the fields of a cgroup or task event (root=, id=, path=, pid=)",
)
(NO_HEAD, NO_TIME, NO_CPU, NO_PTR, NO_KEY, NO_REQ, NO_ALLOC, CUT, NO_FIELDS) = range(9)

# Numbers that a scan keeps from block to block.
LINES, OTHERS, NAMES, POOL, WHOLE_CLOCK, CHAINS = range(6)
STATE = 6
DONE, FULL_ROWS, FULL_NAMES = range(3)

MAX_CPU = 4096
MAX_NAMES = 1 << 20
UNKNOWN_COUNT = -1  # of lost events
ABSENT = -1
