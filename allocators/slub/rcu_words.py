"""What kfree_rcu has called after a grace period; 1 and 2 are allocators.memcg.memcontrol's."""

from __future__ import annotations

RCU_FREE_SHEAF = 3  # arg=a full sheaf, for the barn
RCU_FLUSH_SHEAF = 4  # arg=a sheaf, to be emptied
RCU_TAKE_BATCH = 5  # arg=a CPU: those of its batch wait for a grace period from now on
RCU_FREE_BATCH = 6  # arg=the first of them
