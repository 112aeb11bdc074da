"""What a program wrote when it died: which error nobody caught, and where in its code. For any language. Pure.

Contract: nothing that changes from run to run: no messages (they often hold what was sent), addresses or line numbers.
Each form is that of a runtime's own report, named beside it.
"""

from __future__ import annotations

import re

__all__ = ["CORRUPTED", "place", "uncaught"]

CORRUPTED = "memory corrupted: "
"""In front of what the C library says of it (glibc ``malloc/malloc.c``, ``debug/fortify_fail.c``): whose code did it is
another question."""

_NAMED = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Fault|Again))\b")
"""The last line of a Python traceback, and what Node says of most errors."""

_UNCAUGHT = (
    r'^Exception in thread ".*?" (?:[\w$]+\.)*([\w$]+)',  # Java
    r"^PHP Fatal error:  Uncaught ([\w\\]+)",
    r"^\[Error: .*\] \{(?:\n  .*)*?\n  code: '(\w+)'",  # Node, an error without a stack
    r"terminate called after throwing an instance of '([^'\n]+)'",  # C++ (libstdc++)
    r"^libc\+\+abi: terminating due to uncaught exception of type ([\w:<>]+)",
    r"^(?:fatal error: all goroutines are asleep|panic: (?:runtime error: )?([a-z ]+))",  # Go
    r"^thread '.*?' (?:\(\d+\) )?(panic)ked at ",  # Rust
    r"^\S+:\d+:in ['`].*?': .* \(([A-Z][\w:]*)\)$",  # Ruby
    r"^(Error) in .*(?:\n.*)*?\nExecution halted",  # R
    r"^Unhandled exception\. (?:\w+\.)*(\w+)",  # .NET
    r"^lua\d?[\d.]*: \S+:\d+: (attempt to \w+)",
)

_ASSERTED = re.compile(r": Assertion [`'].*' failed\.?$", re.MULTILINE)  # assert(3)

_CORRUPTED = re.compile(
    r"\*\*\* (stack smashing detected|buffer overflow detected) \*\*\*"
    r"|^((?:free|malloc|realloc|calloc|munmap_chunk)\(\): [a-z ]+|double free or corruption|corrupted [a-z. ]+)"
    r"|ERROR: AddressSanitizer: ([\w-]+)",
    re.MULTILINE,
)

_PLACES = (
    r"^\s+at (?!java\.|javax\.|jdk\.|sun\.)(?:[\w$]+\.)*?([\w$]+\.[\w$<>]+)\(([\w$]+\.java):\d+\)",
    r"^\s+at (?:async )?([\w$.<>]+) \((?!node:)([^():\n]+):\d+:\d+\)",
    r"^thread '.*?' (?:\(\d+\) )?panicked at ()([^:\s]+):\d+",
    r"^(?=\S+:\d+:in ['`])(?:\S+:\d+:in ['`])?()(\S+?):\d+",
    r"^  thrown in ()(\S+) on line \d+",
    r": (?=\S+?:\d+: )()(\S+?):\d+: .*?: Assertion ",
)


def uncaught(log: str, *, crashed: bool = False) -> str:
    """The error that ended the program, by its class or kind; empty where it said none.

    ``crashed``: a signal ended it, other than its own abort(3), so that an exception it told of is another matter.
    """
    for line in reversed(log.splitlines()):
        if match := _NAMED.match(line):
            return match[1]
    if corrupted := _CORRUPTED.findall(log):
        return CORRUPTED + str(next(filter(None, corrupted[-1]))).strip()
    for pattern in () if crashed else _UNCAUGHT:
        if found := re.findall(pattern, log, re.MULTILINE):
            return f"uncaught {found[-1].strip() or 'deadlock'}"
    return "failed assertion" if _ASSERTED.search(log) else ""


def place(log: str) -> str:
    """``file:function`` of the innermost call of the program's own that the report names, as far as it names it."""
    if python := _python_place(log):
        return python
    for pattern in _PLACES:
        if found := re.search(pattern, log, re.MULTILINE):
            return ":".join(filter(None, (found[2].rsplit("/", 1)[-1], found[1])))
    return ""


def _python_place(log: str) -> str:
    """The innermost function of the last Python traceback."""
    # faulthandler prints the innermost call first, and several threads: the first is the one that crashed.
    inner, _, crashed = log.rpartition("most recent call first")
    found = re.findall(r'File "([^"]+)", line \d+,? in (\S+)', crashed if inner else log)
    frames = [frame for frame in found if not frame[0].startswith("<frozen")]
    if not frames:
        return ""
    file, function = frames[0] if inner else frames[-1]
    return f"{file.rsplit('/', 1)[-1]}:{function}"
