"""A function as a target: found again by its module, or its file, in a process of its own, and called with an endpoint.

Contract: :func:`calling` makes the command that does so; it says at once where a function could not be found again.
Standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from zmqfuzz.errors import UsageError

__all__ = ["calling", "main"]


def calling(function: Callable[[str], object]) -> tuple[str, ...]:
    """The command that calls ``function`` with ``{endpoint}``. Raises UsageError: it is not at the top of a module."""
    name = getattr(function, "__qualname__", "")
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if not name.isidentifier() or module is None or file is None:
        raise UsageError(
            f"{name or function!r} cannot be called in a process of its own; give a function at the top of a module."
        )
    return (sys.executable, "-m", __name__, module.__name__, os.path.abspath(file), name, "{endpoint}", *_roots(file))


def _roots(file: str) -> tuple[str, ...]:
    """Where modules are found here and may not be found there: all of the path that is not Python's own."""
    folder = os.path.dirname(os.path.abspath(file))
    own = (sys.prefix + os.sep, sys.base_prefix + os.sep)
    paths = [path for path in map(os.path.abspath, sys.path) if not path.startswith(own) and os.path.isdir(path)]
    return tuple(dict.fromkeys((folder, *paths)))


def _module(name: str, file: str) -> ModuleType:
    """By its name, where that is this file; else the file, as pytest has it in import mode ``importlib``."""
    try:
        spec = importlib.util.find_spec(name) if name != "__main__" else None
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin is not None and os.path.realpath(spec.origin) == os.path.realpath(file):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name.rpartition(".")[2].strip("_") or "module", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} cannot be imported; put the function into a file *.py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(name: str, file: str, attribute: str, endpoint: str, *roots: str) -> None:
    """In the new process."""
    sys.path += [root for root in roots if root not in sys.path]
    function: Any = getattr(_module(name, file), attribute, None)
    if not callable(function):
        raise SystemExit(f"There is no function {attribute} in {file}.")
    done = function(endpoint)
    if inspect.iscoroutine(done):
        import asyncio  # few need it, and it takes its time

        asyncio.run(done)


if __name__ == "__main__":
    main(*sys.argv[1:])
