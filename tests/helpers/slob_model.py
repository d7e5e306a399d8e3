"""SLOB as plainly as it can be said: pages are lists of free intervals, the three lists are Python lists."""

from __future__ import annotations

UNITS = 2048  # of 2 bytes, in a page


class SlobModel:
    """pages: number -> [(first unit, units)] of its free space; lists: numbers of partly free pages."""

    def __init__(self) -> None:
        self.pages: dict[int, list[tuple[int, int]]] = {}
        self.lists: dict[str, list[int]] = {"small": [], "medium": [], "large": []}
        self.made = 0

    def list_of(self, size: int) -> list[int]:
        return self.lists["small" if size < 256 else "medium" if size < 1024 else "large"]

    def alloc(self, size: int, align: int) -> tuple[int, int]:
        """(page, first unit) of a new object."""
        units, step, pages = -(-size // 2), align // 2, self.list_of(size)
        for position, number in enumerate(pages):
            at = self._cut(number, units, step)
            if at is not None:
                full = not self.pages[number]
                if full:
                    del pages[position]
                # The list begins here next time: at this page, or at what follows a page that became full.
                if position < len(pages):
                    pages[:] = pages[position:] + pages[:position]
                return number, at
        self.made += 1
        self.pages[self.made] = [(0, UNITS)]
        at = self._cut(self.made, units, step)
        assert at == 0
        if self.pages[self.made]:
            pages.insert(0, self.made)
        return self.made, at

    def _cut(self, number: int, units: int, step: int) -> int | None:
        free = self.pages[number]
        for i, (first, have) in enumerate(free):
            at = -(-first // step) * step
            if at + units <= first + have:
                free[i : i + 1] = [(a, b - a) for a, b in ((first, at), (at + units, first + have)) if b > a]
                return at
        return None

    def free(self, number: int, at: int, size: int) -> bool:
        """Free an object; True when its page went back."""
        units, free = -(-size // 2), self.pages[number]
        was_full = not free
        free.append((at, units))
        free.sort()
        joined: list[tuple[int, int]] = []
        for first, have in free:
            if joined and sum(joined[-1]) == first:
                joined[-1] = joined[-1][0], joined[-1][1] + have
            else:
                joined.append((first, have))
        self.pages[number] = joined
        if joined == [(0, UNITS)]:
            for pages in self.lists.values():
                if number in pages:
                    pages.remove(number)
            del self.pages[number]
            return True
        if was_full:
            self.list_of(size).insert(0, number)
        return False
