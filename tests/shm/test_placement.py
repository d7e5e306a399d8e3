"""Compiled code at another place of its page: the same program, whatever the padding."""

import multiprocessing

import pytest
from small_program import FEATURES, memory, native

from shm import numba_internals
from shm.placement import MOST, STEP, moved

PADDINGS = (0, 16, 4080, MOST)


def _play(padding: int, connection) -> None:
    dispatchers = [native.compile("bare", features, padding) for features in FEATURES]
    places = []
    for dispatcher in dispatchers:
        (compiled,) = dispatcher.overloads.values()
        places.append(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name) % 4096)
    connection.send((places, [memory(native, features) for features in FEATURES]))


def _in_a_fresh_process(padding: int):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_play, args=(padding, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


@pytest.mark.xdist_group("compiles")
@pytest.mark.skipif(bool(numba_internals.placing.gone), reason="this Numba's objects cannot be moved")
def test_moved_code_leaves_the_same_memory():
    _in_a_fresh_process(0)  # compiles, where nobody has
    places, memories = zip(*(_in_a_fresh_process(padding) for padding in PADDINGS))
    for padding, place, left in zip(PADDINGS, places, memories, strict=True):
        assert place == [(at + padding) % 4096 for at in places[0]]
        assert left == memories[0]


@pytest.mark.parametrize("padding", [-STEP, 8, STEP + 1, MOST + STEP])
def test_other_paddings_are_refused(padding):
    with pytest.raises(ValueError, match=f"padding of {padding} bytes"):
        moved(b"\x7fELF\x02\x01", padding)


def test_what_is_no_such_object_stays_as_it_is():
    for code in (b"", b"MZ" + bytes(100), b"\x7fELF\x01\x01" + bytes(100)):
        assert moved(code, STEP) == code
