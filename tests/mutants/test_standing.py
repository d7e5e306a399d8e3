"""A mutant that is killed in the middle of a test leaves nothing behind."""

import os

from shm.segment import Segment
from tests.mutants.standing import _copy_on_write


def test_what_a_fork_writes_to_a_kept_segment_is_its_own():
    with Segment(8) as segment:
        segment.words_view[0] = 3
        child = os.fork()
        if not child:
            status = 1
            try:
                _copy_on_write(segment)
                segment.words_view[0] += 1
                status = 0 if segment.array[0] == 4 else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert segment.array[0] == 3
