"""What a file is and its unpacked text, block by block: plain, gzip, zstd, xz, a pipe, or what a tool prints of it.

Memory stays bounded: packed data is unpacked in small steps, and a tool's output is read as a pipe.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from scenarios.traces.errors import TraceError
from stress.process.files import open_input

BLOCK = 1 << 24  # bytes of text
PACKED_BLOCK = 1 << 11  # bytes of zstd, which unpack to 64 MiB at the very worst
PIPE = Path("-")
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
_TOOLS = {
    b"\x17\x08\x44tracing": ("trace-cmd", ("trace-cmd", "report", "-t", "-i"), "trace.dat"),
    b"PERFILE2": ("perf", ("perf", "script", "--ns", "-F", "comm,pid,tid,cpu,time,event,trace", "-i"), "perf.data"),
}
PARQUET = b"PAR1"


class Source:
    """One recording, read once.

    kind: "text", "parquet" or the name of the file format that a tool turned into text. packing: "", "gzip", "zstd" or
    "xz". Raises TraceError for what cannot be read; a tool that fails does so at the end of `blocks`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.kind, self.packing = path, "text", ""
        try:
            self._file: BinaryIO = sys.stdin.buffer if path == PIPE else open_input(path)
            self.head = self._peek(16)
        except OSError as error:
            raise self._unreadable(error) from None
        self._tool: tuple[str, ...] = ()
        for magic, name in _PACKED.items():
            if self.head.startswith(magic):
                self.packing = name
        for magic, (tool, command, kind) in _TOOLS.items():
            if self.head.startswith(magic):
                self.kind = kind
                if shutil.which(tool) is None:
                    raise TraceError(
                        path, 0, f"a {kind} file, which only {tool} can read, and {tool} is not installed",
                        f"install it, or run `{' '.join(command)} FILE > FILE.txt` elsewhere and give FILE.txt",
                    )  # fmt: skip
                if path == PIPE:
                    raise TraceError(
                        path, 0, f"a {kind} file in a pipe", f"give the file, or pipe what `{tool}` prints"
                    )
                self._tool = (*command, str(path.absolute()))
        if self.head.startswith(PARQUET):
            self.kind = "parquet"
            if path == PIPE:
                raise TraceError(path, 0, "a Parquet file in a pipe", "give the file")

    def _peek(self, size: int) -> bytes:
        if not isinstance(self._file, io.BufferedReader):
            return b""
        return self._file.peek(size)[:size]

    def _unreadable(self, error: OSError) -> TraceError:
        return TraceError(self.path, 0, f"cannot be read: {error.strerror or error}", "check the path")

    def blocks(self) -> Iterator[bytes]:
        """The text, in blocks of about `BLOCK` bytes."""
        try:
            with contextlib.ExitStack() as stack:
                if self.path != PIPE:
                    stack.enter_context(self._file)
                yield from self._printed() if self._tool else self._unpacked()
        except OSError as error:
            raise self._unreadable(error) from None
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError) as error:
            raise TraceError(self.path, 0, f"damaged {self.packing}: {error}", "fetch the file again") from None

    def _unpacked(self) -> Iterator[bytes]:
        stream: BinaryIO = self._file
        if self.packing == "gzip":
            stream = gzip.GzipFile(fileobj=self._file)  # type: ignore[assignment]
        elif self.packing == "xz":
            stream = lzma.LZMAFile(self._file)  # type: ignore[assignment]
        elif self.packing == "zstd":
            yield from self._zstd()
            return
        while block := stream.read(BLOCK):
            yield block

    def _zstd(self) -> Iterator[bytes]:
        """Frames one behind the other; EOFError when the last is cut short, which a stream reader lets pass."""
        context = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        frame = context.decompressobj()
        while packed := self._file.read(PACKED_BLOCK):
            while packed:
                if frame.eof:
                    frame = context.decompressobj()
                if block := frame.decompress(packed):
                    yield block
                packed = frame.unused_data if frame.eof else b""
        if not frame.eof:
            raise EOFError("its end is missing")

    def _printed(self) -> Iterator[bytes]:
        with subprocess.Popen(
            self._tool, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        ) as tool:
            assert tool.stdout is not None
            try:
                while block := tool.stdout.read(BLOCK):
                    yield block
            except GeneratorExit:
                tool.kill()
                raise
            if tool.wait():
                raise TraceError(
                    self.path, 0, f"{self._tool[0]} could not read it (exit status {tool.returncode})",
                    f"try `{' '.join(self._tool)}`",
                )  # fmt: skip
