"""Which functions of a compiled program LLVM left out of line, read from the object in the cache on disk."""

from __future__ import annotations

import re
import struct

from shm.entry import Entry

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMTAB, _FUNCTION = 2, 2  # SHT_SYMTAB, STT_FUNC
_MANGLED = "_ZN"
_SYMBOL_OF_SHARED = re.compile(r"[\w.]+\.[0-9a-f]{16}")  # `shm.reuse`


def out_of_line(entry: Entry, kernel: str, features: frozenset[str]) -> set[str]:
    """`module.function` of what is called in this program; it is compiled if nobody has."""
    entry.compile(kernel, features)
    newest = max(entry.folder(kernel, features).rglob("*.nbc"), key=lambda path: path.stat().st_mtime_ns)
    kept = newest.read_bytes()
    code = kept[kept.index(b"\x7fELF\x02\x01") :]
    (table,) = struct.unpack_from("<Q", code, 40)
    (count,) = struct.unpack_from("<H", code, 60)
    sections = [_SECTION.unpack_from(code, table + i * _SECTION.size) for i in range(count)]
    names = set()
    for section in (s for s in sections if s[1] == _SYMTAB):
        at, size, strings = section[4], section[5], sections[section[6]][4]
        for name, info, _, where, _, _ in _SYMBOL.iter_unpack(code[at : at + size]):
            if info & 15 == _FUNCTION and where:
                begin = strings + name
                names.add(plain_name(code[begin : code.index(b"\0", begin)].decode()))
    return {name for name in names if name}


def plain_name(symbol: str) -> str:
    """`module.function` of a shared function's symbol or of a mangled name, without what is added; "" for wrappers of
    Python's.
    """
    if _SYMBOL_OF_SHARED.fullmatch(symbol):
        return symbol.rpartition(".")[0]
    if not symbol.startswith(_MANGLED):
        return ""
    parts, at = [], len(_MANGLED)
    while symbol[at : at + 1].isdigit():
        end = at
        while symbol[end].isdigit():
            end += 1
        length = int(symbol[at:end])
        parts.append(symbol[end : end + length])
        at = end + length
    return ".".join(parts)
