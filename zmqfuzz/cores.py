"""Where a process crashed: the module, and the function or the offset in it, from the core file that it left.

Contract: reads a core and the files that were mapped, and nothing else; what cannot be read has an empty place. Only
64-bit little-endian ELF of x86-64 and AArch64. Sources: core(5), elf(5); Linux ``fs/binfmt_elf.c`` (the notes),
``include/linux/elfcore.h:elf_prstatus``.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["crash_place", "newest_core"]

_PRSTATUS, _FILE = 1, 0x46494C45  # types of notes
_LOAD, _NOTE, _EXECUTABLE = 1, 4, 1
_REGISTERS = 112
"""Offset of the registers in a note of type PRSTATUS."""

_LAYOUTS = {62: (16, 19, None), 183: (32, 31, 30)}
"""ELF machine: places of instruction pointer, stack pointer and link among the registers (``user_regs_struct``)."""

_STACK_WORDS = 2048
_MOST_HEADERS = 65_534
_RUNTIME = re.compile(r"^(ld|libc|libpthread|libstdc\+\+|libgcc_s|libm|libffi)[-.]|^\[|^ld-linux")
"""Modules in which a crash is told by who called them."""

_SYMTAB, _DYNSYM, _FUNCTION = 2, 11, 2
_GRAIN = 256
"""Octets of code that are one place where no symbol tells the function: one defect faults at neighbouring ones."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """An ELF program header."""

    kind: int
    flags: int
    offset: int
    address: int
    in_file: int
    in_memory: int


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A part of a file in the memory of the process."""

    start: int
    end: int
    offset: int
    path: str


def newest_core(folder: Path) -> Path | None:
    """The core file that was written last in a folder; None where there is none."""
    found = [file for file in folder.glob("*core*") if file.is_file()]
    return max(found, key=lambda file: file.stat().st_mtime, default=None)


def crash_place(core: Path) -> str:
    """``libzmq:zmq::v2_decoder_t::size_ready``, or ``libzmq+0x3a40`` without symbols; empty: it cannot be told.

    The first function on the stack that is not of the C or C++ runtime, and so what called it.
    """
    try:
        with core.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            frames = list(_frames(octets))
    except (OSError, ValueError, struct.error):
        return ""
    telling = [frame for frame in frames if not _RUNTIME.match(_module(frame[0]))]
    return _named(*telling[0]) if telling else _named(*frames[0]) if frames else ""


def _module(mapped: _Mapped) -> str:
    return mapped.path.rsplit("/", 1)[-1]


def _named(mapped: _Mapped, offset: int) -> str:
    path = mapped.path
    stem = re.split(r"\.so\b", _module(mapped))[0]
    stem = re.sub(r"-[0-9a-f]{8}$", "", stem)  # as wheels have it
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            name = _function(octets, offset)
    except (OSError, ValueError, struct.error):
        name = ""
    return f"{stem}:{name}" if name else f"{stem}+{offset // _GRAIN * _GRAIN:#x}"


def _frames(octets: mmap.mmap) -> Iterator[tuple[_Mapped, int]]:
    """Mapped files and offsets in them: where the thread was that crashed, then what its stack says it came from.

    Raises ValueError: no core that can be read.
    """
    kind, machine = struct.unpack_from("<HH", octets, 16)
    if octets[:6] != b"\x7fELF\2\1" or kind != 4 or machine not in _LAYOUTS:
        raise ValueError("no core of a machine whose registers are known")
    segments = list(_segments(octets))
    registers, mapped = _notes(octets, segments)
    at, stack, link = _LAYOUTS[machine]
    if len(registers) <= max(at, stack):
        raise ValueError("a core without registers")
    code = [part for part in segments if part.kind == _LOAD and part.flags & _EXECUTABLE]
    linked = () if link is None else (registers[link],)
    for number, address in enumerate((registers[at], *linked, *_words(octets, segments, registers[stack]))):
        if number:
            address -= 1  # a return address is behind its call
        if any(part.address <= address < part.address + part.in_memory for part in code):
            for each in mapped:
                if each.start <= address < each.end:
                    yield each, address - each.start + each.offset


def _segments(octets: mmap.mmap) -> Iterator[_Segment]:
    start, size, count = struct.unpack_from("<Q14xHH", octets, 32)
    for number in range(min(count, _MOST_HEADERS)):
        fields = struct.unpack_from("<IIQQ8xQQ", octets, start + number * size)
        yield _Segment(*fields)


def _notes(octets: mmap.mmap, segments: list[_Segment]) -> tuple[tuple[int, ...], list[_Mapped]]:
    """The registers of the thread that crashed, which comes first, and what was mapped."""
    registers: tuple[int, ...] = ()
    mapped: list[_Mapped] = []
    for part in segments:
        offset, end = part.offset, min(part.offset + part.in_file, len(octets))
        while part.kind == _NOTE and offset + 12 <= end:
            name, length, kind = struct.unpack_from("<III", octets, offset)
            start = offset + 12 + (name + 3 & ~3)
            offset = start + (length + 3 & ~3)
            if kind == _PRSTATUS and not registers:
                registers = struct.unpack_from(f"<{(length - _REGISTERS) // 8}Q", octets, start + _REGISTERS)
            elif kind == _FILE:
                mapped = list(_files(octets[start : start + length]))
    return registers, mapped


def _files(note: bytes) -> Iterator[_Mapped]:
    count, page = struct.unpack_from("<QQ", note)
    names = note[16 + 24 * count :].split(b"\0")
    for number in range(count):
        start, end, pages = struct.unpack_from("<QQQ", note, 16 + 24 * number)
        yield _Mapped(start, end, pages * page, names[number].decode("utf-8", "surrogateescape"))


def _words(octets: mmap.mmap, segments: list[_Segment], address: int) -> tuple[int, ...]:
    """The words above the stack pointer, as far as they were written."""
    for part in segments:
        if part.kind == _LOAD and part.address <= address < part.address + part.in_file:
            place = part.offset + address - part.address
            end = min(part.offset + part.in_file, len(octets))
            count = min(_STACK_WORDS, (end - place) // 8)
            return () if count <= 0 else struct.unpack_from(f"<{count}Q", octets, place)
    return ()


def _function(octets: mmap.mmap, offset: int) -> str:
    """The function that holds the octet at ``offset`` of an ELF file; empty where its symbols do not say."""
    if octets[:5] != b"\x7fELF\2":
        return ""
    address = next(
        (
            offset - part.offset + part.address
            for part in _segments(octets)
            if part.kind == _LOAD and part.offset <= offset < part.offset + part.in_file
        ),
        None,
    )
    if address is None:
        return ""
    start, size, count = struct.unpack_from("<Q10xHH", octets, 40)
    tables = [struct.unpack_from("<IIQQQQIIQQ", octets, start + number * size) for number in range(count)]
    for wanted in (_SYMTAB, _DYNSYM):
        for table in tables:
            if table[1] == wanted and (name := _symbol(octets, table, tables[table[6]], address)):
                return name
    return ""


def _symbol(octets: mmap.mmap, table: tuple[int, ...], strings: tuple[int, ...], address: int) -> str:
    for name, info, _, section, value, size in struct.iter_unpack("<IBBHQQ", octets[table[4] : table[4] + table[5]]):
        if info & 15 == _FUNCTION and section and value <= address < value + size:
            start = strings[4] + name
            return _plain(octets[start : octets.find(b"\0", start)].decode("ascii", "replace"))
    return ""


def _plain(name: str) -> str:
    """The names in a mangled C++ one (Itanium ABI), without types: ``zmq::pipe_t::rollback``."""
    if not name.startswith("_ZN"):
        return name
    parts = []
    rest = re.sub(r"^_ZN[KVr]*", "", name)
    while (found := re.match(r"(\d+)", rest)) is not None:
        length = int(found[1])
        parts.append(rest[found.end() : found.end() + length])
        rest = rest[found.end() + length :]
    return "::".join(parts) or name
