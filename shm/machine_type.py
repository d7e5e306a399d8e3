"""The machine as compiled code's types know it, and what compiling asked of it.

Whatever code is compiled to depends on a machine's type by questions only: is a feature there, which kernel is it. So
what was compiled for one machine is right for every other that answers the same; see `shm.reuse`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from shm.numba_internals import types

Questions = dict[str, object]  # a feature, or KERNEL, or FEATURES -> what the machine answered

THIS_MACHINE = "for_this_machine"  # the name of a function that is linked for the machine that it was compiled for
KERNEL, FEATURES = "kernel", "features"  # no names of switches, which begin with a capital
_open: list[Questions] = []  # of the functions that are being compiled, callers before callees


class MachineType(types.Type):
    """The type of a machine of these features and this kernel; every answer that it gives is noted."""

    def __init__(self, features: frozenset[str], kernel: str) -> None:
        self._features = features
        self._kernel = kernel
        super().__init__(f"Machine({kernel};{','.join(sorted(features))})")

    def has(self, feature: str) -> bool:
        """Does the machine have this feature?"""
        return bool(_noted(feature, feature in self._features))

    @property
    def features(self) -> frozenset[str]:
        """All features. Who asks for them depends on each."""
        _noted(FEATURES, self._features)
        return self._features

    @property
    def kernel(self) -> str:
        """The kernel's name, by which its vectors are found."""
        _noted(KERNEL, self._kernel)
        return self._kernel

    def all_answers(self) -> Questions:
        """What no other machine answers. It is not noted."""
        return {FEATURES: self._features, KERNEL: self._kernel}

    def ask_all(self) -> None:
        """Say that what is being compiled is for this very machine."""
        ask_again(self.all_answers())

    def answers(self, asked: Questions) -> bool:
        """Would this machine have given the same answers?"""
        for question, answer in asked.items():
            if question == KERNEL:
                same = answer == self._kernel
            elif question == FEATURES:
                same = answer == self._features
            else:
                same = answer == (question in self._features)
            if not same:
                return False
        return True


def _noted(question: str, answer: object) -> object:
    if _open:
        _open[-1][question] = answer
    return answer


def ask_again(asked: Questions) -> None:
    """What is being compiled takes something that depended on these questions."""
    if _open:
        _open[-1].update(asked)


@contextlib.contextmanager
def asking() -> Iterator[Questions]:
    """Gathers what is asked inside; whoever compiles around it has not asked that."""
    asked: Questions = {}
    _open.append(asked)
    try:
        yield asked
    finally:
        _open.pop()
