"""Imported by Python's ``site`` where this folder is on ``PYTHONPATH``: arms the shim, then does what was there before.

Contract: an error of ours is swallowed; an error of the ``sitecustomize`` behind us passes, as it did without us.
"""

from __future__ import annotations

import os
import sys


def _begin() -> None:
    try:
        import zmqfuzz_shim  # type: ignore[import-not-found]  # its folder is on the path, where this runs

        zmqfuzz_shim.begin()
    except Exception:
        pass


def _go_on() -> None:
    """Run the ``sitecustomize`` that Python would have found without us, under its own name."""
    import importlib.machinery
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    ours = sys.modules["sitecustomize"]
    sys.modules["sitecustomize"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules["sitecustomize"] = ours
        raise


if __name__ == "sitecustomize" and os.environ.get("ZMQFUZZ_SHIM"):
    _begin()
    _go_on()
