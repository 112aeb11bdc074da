"""Whose defect a finding is: the application's, or libzmq's own, which a bare socket shows as well.

Contract: the attack is played against a socket of the same type, of the very library that the target has loaded,
with nothing behind it but a loop that reads. What that shows, no application can be blamed for.
"""

from __future__ import annotations

from zmqfuzz.catalogue import Invariant, invariants
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.examiner import Examiner
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.mapped import libraries
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface

__all__ = ["bare_socket_too", "owner_of"]

LIBRARY = "libzmq"
BARE = "libzmq: a bare socket of the same library does it too"


def owner_of(violation: Violation, signature: str, *, bare: bool = False) -> str:
    """In words; ``bare``: a bare socket of the same library breaks the same invariant."""
    if bare:
        return BARE
    if violation.code == "ZF208":
        return "the application, where it does not read a socket; else libzmq (issues 3731 and 4503)"
    if violation.code == "ZF209":
        return BARE
    if "libzmq assertion" in signature:
        return "libzmq"
    if signature.startswith("does not come back"):
        return "libzmq, known (issue 4196); the application can work around it"
    if violation.code == "ZF203" and "frame MORE" in signature:
        return "libzmq design"
    if violation.code in ("ZF203", "ZF206", "ZF201", "ZF202", "ZF207"):
        return "application (socket options)"
    return "application" if "Error" in signature or violation.code in ("ZF204", "ZF205") else "unknown"


async def bare_socket_too(harness: Harness, entry: Invariant, attack: Attack, surface: Surface) -> bool:
    """Whether a bare socket breaks ``entry`` by the same rounds; False where there is none to compare with."""
    pids = (await harness.standing()).running.pids()
    found = libraries(pids, LIBRARY)
    if harness.reference is None or not found:
        return False
    try:
        target = harness.reference(surface, found[0])
        if target is None:
            return False
        async with Harness(target, limits=harness.limits, budget=harness.budget) as bare:
            key = bare.surfaces(await bare.standing())[0].key
            seen = await Examiner(bare).rounds(attack, key)
    except ZmqfuzzError:
        return False  # the library cannot be run alone: nothing is known
    # A connection that never ends is a descriptor too; over ipc no table tells that its peer is gone.
    codes = (entry.code, "ZF208") if entry.code == "ZF205" else (entry.code,)
    return not seen.doubts and any(invariants()[code].judge(seen, harness.limits) is not None for code in codes)
