"""What a target shows of itself: it runs no libzmq with published vulnerabilities, and listens only where declared."""

from __future__ import annotations

from zmqfuzz.advisories import Advisory, Reach, reaches, table, told_severity
from zmqfuzz.binds import allows, every_address
from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.exposure import EXPOSURE, Exposure, Listening, Loaded, Version, version_text
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.trial import Surface

__all__ = ["ipc_permissions", "library_not_vulnerable", "listens_where_declared"]


def _furthest(advisory: Advisory, surfaces: tuple[Surface, ...]) -> tuple[Reach, str]:
    """The door at which a peer gets furthest to what the advisory describes, and why, in words."""
    seen = [reaches(advisory, surface) for surface in surfaces]
    return max(seen, key=lambda reach: reach[0], default=(Reach.UNKNOWN, "no door of the program was seen"))


@invariant(
    "ZF651",
    "The libzmq it runs has published vulnerabilities",
    severity=Severity.CRITICAL,
    examines=EXPOSURE,
)
def library_not_vulnerable(seen: Exposure, limits: Limits, violated: type[Violation]) -> None:
    """The libzmq that is mapped in the target is of a version without published vulnerabilities.

    Why: what is published is tried first, and no option of the application closes it. Measured: the version that the
    mapped library gives (``zmq_version``), whatever language the program is in, against a table of advisories that
    comes with zmqfuzz (``zmqfuzz doctor`` says of which day). The severity is the published one where anyone gets there
    at a door that was seen, by its mechanism, socket type and side; one step less where a peer must be let in first;
    low where no such door was seen. Not told: a version that is not known, or a library of a Linux distribution, which
    mends without changing the version; the run says so. To fix: install the release that is named, or a newer one; for
    a Python program a newer pyzmq, whose wheel brings libzmq.
    """
    affected = [
        (one, library, library.version)
        for library in seen.loaded
        if library.version is not None and not library.vendor
        for one in table().about(library.version)
    ]
    if not affected:
        return
    rows = [(one, *_furthest(one, seen.surfaces), library, version) for one, library, version in affected]
    rows.sort(key=lambda row: (told_severity(row[0], row[1]).rank, -row[1], row[0].id))
    open_to = [row for row in rows if row[1] in (Reach.ANYONE, Reach.INSIDE)]
    fixed = max(version for row in rows if (version := row[0].fixed(row[4])) is not None)
    raise violated(
        f"{_libraries(rows)} {'has' if len({row[3].path for row in rows}) == 1 else 'have'} "
        f"{_count(len(rows))}; at the doors that were seen a peer gets to {len(open_to) or 'none'} of them.",
        *(_row(one, reach, why, version) for one, reach, why, _, version in rows),
        signature="reached: " + (", ".join(sorted({row[0].id for row in open_to})) or "none of them"),
        advice=f"Install libzmq {version_text(fixed)} or newer; a Python program gets it with a newer pyzmq, others "
        "where they are built or packaged. Sources: " + ", ".join(dict.fromkeys(row[0].source for row in rows)) + ".",
        severity=told_severity(rows[0][0], rows[0][1]),
    )


def _count(number: int) -> str:
    return f"{number} published vulnerabilit{'y' if number == 1 else 'ies'}"


def _libraries(rows: list[tuple[Advisory, Reach, str, Loaded, Version]]) -> str:
    named = dict.fromkeys(f"{library.name} ({library.path.rpartition('/')[2]})" for *_, library, _ in rows)
    return "The target runs " + " and ".join(named) + ", which"


def _row(one: Advisory, reach: Reach, why: str, version: Version) -> Measure:
    fixed = one.fixed(version)
    gets = {Reach.ANYONE: "reached", Reach.INSIDE: "reached", Reach.UNKNOWN: "perhaps,", Reach.NOT_SEEN: "not seen:"}
    limit = f"libzmq >= {version_text(fixed)}" if fixed is not None else ""
    return Measure(one.id, f"{one.title}; {gets[reach]} {why}", limit)


@invariant(
    "ZF652",
    "It listens where it was not declared to",
    severity=Severity.HIGH,
    examines=EXPOSURE,
    declared="expose",
)
def listens_where_declared(seen: Exposure, limits: Limits, violated: type[Violation]) -> None:
    """The processes of the target listen only where it was declared (--expose).

    Why: a socket at the wildcard (``tcp://*``, ``0.0.0.0``, ``[::]``) is reached from every network of the machine, and
    what was meant for one host is then open to all. Measured: the listening TCP sockets of all its processes, as the
    kernel shows them, whatever they speak; and its Unix sockets that speak ZMTP, as runtimes make others for
    themselves. A wildcard is held only by an entry for every address. Once after the start and once at the end, and on
    a fresh process. Where it
    may (CAP_NET_ADMIN), zmqfuzz also connects from a network namespace of its own: what is
    reached there although it listens at loopback only is a finding, too. To fix: bind to the one address that peers
    use, such as tcp://127.0.0.1:5555, or declare it.
    """
    if limits.expose is None:
        return
    judged = [one for one in seen.listening if one.zmtp or one.bound.startswith("tcp://")]
    others = [one for one in judged if not allows(limits.expose or (), one.bound) or _leaks(one)]
    if not others:
        return
    wide = [one for one in others if every_address(one.bound)]
    kinds = sorted({_kind(one.bound) for one in others})
    raise violated(
        f"It listens at {', '.join(one.bound for one in others)}, which was not declared"
        + (": at every address of this machine." if wide else "."),
        *(Measure("listens at", _seen(one), _list(limits)) for one in others),
        signature=", ".join(kinds),
        advice="Bind to the one address that the peers use (tcp://127.0.0.1:PORT for peers on the same machine, never "
        "tcp://*), or declare the place with --expose.",
        severity=Severity.HIGH if any(_kind(one.bound) != "loopback" for one in others) else Severity.MEDIUM,
    )


def _leaks(one: Listening) -> bool:
    """A listener at loopback that is reached from elsewhere: something passes connections on to it."""
    return bool(one.reached) and allows(("tcp://localhost:*",), one.bound)


def _seen(one: Listening) -> str:
    """A listener, and what was found out about it."""
    reached = {True: ", reached from another network namespace", False: ", not reached from another network namespace"}
    return one.bound + (reached[one.reached] if one.reached is not None else "")


def _kind(bound: str) -> str:
    """What kind of place it is, without its address, which may change."""
    if bound.startswith("ipc://"):
        return "abstract ipc name" if bound.startswith("ipc://@") else "ipc path"
    if every_address(bound):
        return "every address"
    return "loopback" if allows(("tcp://localhost:*",), bound) else "an address of the network"


def _list(limits: Limits) -> str:
    return " ".join(limits.expose or ()) or "nowhere"


@invariant(
    "ZF653",
    "Other users of the machine can connect to, or replace, an ipc socket",
    severity=Severity.MEDIUM,
    examines=EXPOSURE,
    declared="expose",
)
def ipc_permissions(seen: Exposure, limits: Limits, violated: type[Violation]) -> None:
    """An ipc socket of the target is open to its user and group only, and nobody else can put another in its place.

    Why: whoever may write to the socket's file may connect (unix(7)), and whoever may write to a folder above it,
    unless that is sticky, may put a socket of their own in its place, and be the server. libzmq asks nobody who they
    are. Measured: the permissions for others of each Unix socket that speaks ZMTP, and of all folders above it; of an
    abstract name, which has none, nothing is told here, as it is not in a list of ``ipc://`` paths (ZF652). Access
    control lists are not looked at. To fix: set the umask to 0o077 before bind, and keep the socket in a folder of
    its own with mode 0700, such as RuntimeDirectory= of systemd makes.
    """
    if limits.expose is None:
        return
    doors = [one for one in seen.listening if one.zmtp and one.bound.startswith("ipc://")]
    anyone, replaced = [one for one in doors if one.anyone], [one for one in doors if one.replaceable]
    if not anyone and not replaced:
        return
    said = [f"{one.bound} can be connected to by every user" for one in anyone]
    said += [f"{one.bound} can be replaced by every user, who may write to {one.replaceable}" for one in replaced]
    kinds = (["connect"] if anyone else []) + (["replace"] if replaced else [])
    raise violated(
        "; ".join(said) + ".",
        *(Measure("permissions", one.why, "none for others") for one in dict.fromkeys((*anyone, *replaced))),
        signature=" and ".join(kinds),
        advice="Set the umask to 0o077 before bind, and keep the socket in a folder of its own with mode 0700 that no "
        "other user can write above.",
        severity=Severity.HIGH if replaced else Severity.MEDIUM,
    )
