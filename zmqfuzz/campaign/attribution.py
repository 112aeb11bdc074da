"""Whose defect a finding is: the application's, or libzmq's own, which a bare socket shows as well.

Contract: the attack is played against a socket of the same type, of the very library that the target has loaded,
with nothing behind it but a loop that reads. What that shows, no application can be blamed for.
"""

from __future__ import annotations

import os

import trio
import zmq

from zmqfuzz.anonymous import names_itself
from zmqfuzz.budget import SURE_ROUNDS
from zmqfuzz.catalogue import Invariant, invariants
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.examiner import ROUNDS, Examiner, growth
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.mapped import libraries, loaded
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface

__all__ = [
    "LIBRARY_CRASHES",
    "LIBRARY_SAYS",
    "bare_socket_too",
    "by_design",
    "libzmq_of",
    "owner_of",
    "publicly_known",
    "share_names",
]

LIBRARY_SAYS = "libzmq assertion"
"""In the signature of a process that libzmq itself has ended."""

LIBRARY_CRASHES = " in libzmq"
"""In the signature of a process that a signal met in libzmq (:mod:`zmqfuzz.cores`)."""

SAME = 0.7
LITTLE, ABOUT = 256 * 1024, 1 / 3
NAMED = 0.1
"""Share of the target's growth that a bare socket must show for both to be the same; where a round leaves LITTLE,
in octets, behind, it depends on chance, and less is enough; so it does where peers of a ROUTER or REP have identities:
which of them comes first to a name that several have, and only many rounds tell."""

ROUTING = ("ROUTER", "REP", "")
"""Types that keep what a second peer sends under a name (libzmq ``src/router.cpp``); an unknown type may be one."""

DEFAULT_HWM, SMALL_HWM = 1000, 16
"""Of a bare socket: libzmq's own (``src/options.cpp``), as what the library keeps unread for ever is as much as a queue
takes; a small one is full sooner, and a connection behind a full queue is never closed."""

OPTIONS = ("ZF201", "ZF202", "ZF203", "ZF206", "ZF207", "ZF311", "ZF312", "ZF313", "ZF321", "ZF322")
"""Invariants that a socket option keeps, or breaks."""

LIBRARY = "libzmq"
PATIENCE = 10.0
KNOWN_ASSERTIONS = (("!_io_error stream_engine_base", "4841"), ("!_io_error stream_engine.", "4841"))
"""Expression and file of assertions that are public, and the issue of zeromq/libzmq that names them."""

BARE = "libzmq: a bare socket of the same library does it too"
OTHER = "not determined: no libzmq is in its processes, so it is the ZMTP implementation's, or the application's"


def owner_of(violation: Violation, signature: str, *, bare: bool | None = False, library: bool = True) -> str:
    """In words; ``bare``: a bare socket of the same library breaks the same invariant (None: it could not be tried).

    ``library``: whether the target runs on libzmq.
    """
    if not library and (bare is None or by_design(violation.code, signature)):
        return OTHER
    if by_design(violation.code, signature):
        return "libzmq design"
    if bare:
        return BARE
    if bare is None and violation.code != "ZF203":
        return "not determined: it could not be compared with a bare socket"
    if violation.code == "ZF208":
        return "the application, where it does not read a socket; else libzmq (issues 3731 and 4503)"
    if LIBRARY_SAYS in signature:
        issue = publicly_known(signature)
        return f"libzmq, known (issue {issue})" if issue else "libzmq"
    if LIBRARY_CRASHES in signature:
        return "libzmq"
    if signature.startswith("does not come back"):
        return "libzmq, known (issue 4196); the application can work around it"
    if violation.code in ("ZF315", "ZF316"):
        return "application (socket options): libzmq has no timer for these versions, and can be told to refuse them"
    if violation.code in OPTIONS:
        return "application (socket options)"
    own = violation.code in ("ZF103", "ZF104", "ZF204", "ZF205", "ZF301") or signature.startswith("deaf at reading")
    return "application" if own or "Error" in signature or " uncaught " in signature else "unknown"


def by_design(code: str, made_of: str) -> bool:
    """Whether libzmq holds this on purpose, whoever its application is: a message that has no end."""
    return code == "ZF203" and "frame MORE" in made_of


def share_names(surface: Surface, attack: Attack) -> bool:
    """Whether peers of the attack say who they are to a socket that may keep what a second one of that name sends."""
    return surface.socket_type.upper() in ROUTING and any(map(names_itself, attack.scripts))


def publicly_known(signature: str) -> str:
    """The issue of zeromq/libzmq that names the assertion in the signature; empty where none does."""
    return next((issue for text, issue in KNOWN_ASSERTIONS if text in signature), "")


async def libzmq_of(harness: Harness) -> str | None:
    """A shared library like the libzmq that the target runs on; empty: there is none, None: it runs on no libzmq.

    One that is linked in cannot be run alone: our own stands for it, where it is of the same version.
    """
    running = (await harness.standing()).running
    pids = running.pids()
    if not pids:
        return ""
    if found := libraries(pids, LIBRARY):
        return found[0]
    linked = await trio.to_thread.run_sync(lambda: loaded(pids, ours=running.can_kill))
    ours = libraries((os.getpid(),), LIBRARY)
    alike = bool(linked) and linked[0].version == zmq.zmq_version_info()
    return ours[0] if alike and ours else "" if linked else None


async def bare_socket_too(
    harness: Harness, entry: Invariant, attack: Attack, surface: Surface, grown: float
) -> bool | None:
    """Whether a bare socket breaks ``entry`` by the same rounds; None where there is none to compare with.

    ``grown``: octets that each round left behind in the target.
    """
    named = share_names(surface, attack)
    library = await libzmq_of(harness)
    if harness.reference is None or not library:
        return None
    try:
        target, known = harness.reference(surface, library, DEFAULT_HWM if entry.code == "ZF204" else SMALL_HWM)
        async with Harness(target, limits=harness.limits, budget=harness.budget, credentials=known) as bare:
            key = bare.surfaces(await bare.standing())[0].key
            examiner = Examiner(bare, patience=PATIENCE)
            if entry.examines == "beside":
                await bare.calibrate(key)
                seen = await examiner.beside(attack, key, times=1)
            elif entry.examines == "rounds":
                seen = await examiner.rounds(attack, key, entry.code, least=SURE_ROUNDS if named else ROUNDS)
            else:
                seen = await examiner.held(attack, key, None, times=1)
    except ZmqfuzzError:
        return None  # the library cannot be run alone
    # What is kept for a connection that never ends is memory, and a descriptor, and not told as such there.
    judges = (entry, invariants()["ZF208"])
    if seen.doubts:
        return None
    if entry.code == "ZF204":
        least = NAMED if named else SAME if grown > LITTLE else ABOUT
        return grown > 0 and growth(seen.trials) >= least * grown
    return any(judge.judge(seen, harness.limits) is not None for judge in judges)
