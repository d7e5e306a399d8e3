"""Assertions of allocator code: codes natively kept in the machine's header, and their sentences."""

BUG_ALLOC_FROM_DEAD = 1
BUG_SECOND_DESTROY = 2
BUG_REFCOUNT = 3
BUG_QUEUE_FULL = 4
BUG_CLOSE_BUSY = 5
BUG_NEW_PAGE_FULL = 6
BUG_NO_ARRAY = 7
BUG_NULL = 8

BUGS = {
    BUG_ALLOC_FROM_DEAD: "an allocation found the partial list disabled: the cache is dead",
    BUG_SECOND_DESTROY: "the destruction of a cache was scheduled although it is already destroyed",
    BUG_REFCOUNT: "a reference count fell below zero",
    BUG_QUEUE_FULL: "the work queue had no room for an item that must not be lost",
    BUG_CLOSE_BUSY: "a cache to be destroyed still has objects",
    BUG_NEW_PAGE_FULL: "an object found no room in a page that is new",
    BUG_NULL: "a pointer that was tested was NULL when it was followed",
    BUG_NO_ARRAY: "an allocation found that its CPU has no array: the cache is dead",
}
