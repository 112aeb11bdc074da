"""What can go wrong, by whose fault. Every message ends with what to do.

A :class:`~zmqfuzz.finding.Violation` is a result, not an error, and lives elsewhere.
"""


class ZmqfuzzError(Exception):
    """Anything zmqfuzz raises on purpose; ``exit_code`` is what the command line returns for it."""

    exit_code = 70


class UsageError(ZmqfuzzError):
    """The user asked for something that cannot be done: a wrong endpoint, an unknown family, a bad file."""

    exit_code = 2


class TargetError(ZmqfuzzError):
    """The target did not do what it must do before it can be tested."""

    exit_code = 4


class TargetDidNotStart(TargetError):
    """The target's command could not be run, died at start, or never showed a ZMTP socket."""


class TargetServesNobody(TargetDidNotStart):
    """No door of the target let an honest client in or answered it, before any attack: nothing can be said of it."""

    exit_code = 3


class TargetVanished(TargetError):
    """The target's process or listener was gone when it was needed, outside any attack."""


class NothingSelected(ZmqfuzzError):
    """The selection (families, endpoints) left nothing to run."""

    exit_code = 5


class Inconclusive(ZmqfuzzError):
    """What was asked cannot be done or said here; nothing was found, and nothing held."""

    exit_code = 3
