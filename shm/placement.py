"""Compiled code at another place: an object file whose machine code begins later.

Where code lies in memory decides which branches and lines share a slot of the processor's predictors and caches, and so
a program may be a percent faster in one place than in another (Mytkowicz et al., "Producing wrong data without doing
anything obviously wrong", 2009). Code from the cache on disk always lies at the same place in its page. With so many
bytes of padding before it, all of it lies elsewhere: what is compared is then the code, not its place.

Objects are ELF of 64 bits, little endian, relocations with addends (x86-64, AArch64); anything else is left as it is.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from shm import numba_internals

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_SYMTAB, _RELA, _SECTION_SYMBOL = 2, 4, 3  # SHT_SYMTAB, SHT_RELA, STT_SECTION
_CODE = 4  # SHF_EXECINSTR
STEP = 16  # bytes: what functions are aligned to
MOST = 1 << 16


def moved(code: bytes, padding: int) -> bytes:
    """The object file with `padding` bytes, a multiple of `STEP` up to `MOST`, before its largest section of code.

    Returns it unchanged where it is of another kind. Raises ValueError for another padding.
    """
    if padding % STEP or not 0 <= padding <= MOST:
        raise ValueError(f"padding of {padding} bytes: a multiple of {STEP} up to {MOST} is needed")
    if not padding or code[:6] != b"\x7fELF\x02\x01":
        return code
    out = bytearray(code)
    table, count = (_HEADER.unpack_from(out)[i] for i in (6, 12))
    sections = [_SECTION.unpack_from(out, table + i * _SECTION.size) for i in range(count)]
    section = max((i for i in range(count) if sections[i][2] & _CODE), key=lambda i: sections[i][5], default=0)
    if not section:
        return code
    own: set[int] = set()  # symbols that stand for the section
    for _, at, size in _tables(sections, _SYMTAB):
        for index, entry in enumerate(range(at, at + size, _SYMBOL.size)):
            name, info, other, where, value, length = _SYMBOL.unpack_from(out, entry)
            if where == section and info & 15 == _SECTION_SYMBOL:
                own.add(index)
            elif where == section:
                _SYMBOL.pack_into(out, entry, name, info, other, where, value + padding, length)
    for patched, at, size in _tables(sections, _RELA):
        for entry in range(at, at + size, _RELOCATION.size):
            offset, info, addend = _RELOCATION.unpack_from(out, entry)
            offset += padding if patched == section else 0
            addend += padding if info >> 32 in own else 0
            _RELOCATION.pack_into(out, entry, offset, info, addend)
    fields = list(sections[section])
    begin, size = fields[4], fields[5]
    out += bytes(-len(out) % 4096)
    fields[4:6] = len(out), size + padding
    out += bytes(padding) + code[begin : begin + size]
    _SECTION.pack_into(out, table + section * _SECTION.size, *fields)
    return bytes(out)


@contextlib.contextmanager
def elsewhere(padding: int) -> Iterator[None]:
    """Within it objects that are loaded from the cache on disk lie so many bytes later in their page."""
    library = numba_internals.CPUCodeLibrary
    if not padding or numba_internals.placing.gone:
        yield
        return
    kept = library._set_compiled_object
    library._set_compiled_object = lambda self, value: kept(self, moved(value, padding))
    try:
        yield
    finally:
        library._set_compiled_object = kept


def _tables(sections: list[tuple[int, ...]], kind: int) -> list[tuple[int, int, int]]:
    """(Section that it is about, offset, bytes) of the tables of a kind."""
    return [(s[7], s[4], s[5]) for s in sections if s[1] == kind]
