"""Imported by Python's ``site`` where this folder is on ``PYTHONPATH``: arms the shim, then does what was there before.

Contract: an error of ours is swallowed; an error of the ``sitecustomize`` behind us passes, as it did without us. This
file can be read by every Python, so that an old one, in which nothing can be recorded, runs as ever.
"""

import os
import sys


def _begin():
    # type: () -> None
    try:
        import zmqfuzz_shim  # type: ignore[import-not-found]  # its folder is on the path, where this runs

        zmqfuzz_shim.begin()
    except Exception:
        pass


def _go_on():
    # type: () -> None
    """Run the ``sitecustomize`` that Python would have found without us, under its own name."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    kept = sys.modules.pop("sitecustomize")  # else Python 2 would clear what is running here
    __import__("sitecustomize")  # where there is none, site is told so, as without us
    del kept


if __name__ == "sitecustomize" and os.environ.get("ZMQFUZZ_SHIM"):
    _begin()
    _go_on()
