"""Nothing that a peer sends is executed."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.canary import carries
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.trial import Trial

__all__ = ["code_not_executed"]


@invariant(
    "ZF301",
    "Code that a peer sends is executed",
    severity=Severity.CRITICAL,
    tests=lambda trial, limits: carries(trial.attack),
)
def code_not_executed(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """The target reads what peers send as data, and never runs it.

    Why: pickle, YAML with all its tags, jsonpickle and eval() run whatever they are given, so whoever can open a
    connection can do on this machine all that the program may do. Measured: a canary, a payload of such a form whose
    only effect is to create an empty folder or file in a temporary folder of zmqfuzz; it was there after the attack.
    Confirmed on fresh processes. Inconclusive: a target that sees another file system (a container, another machine)
    or runs as a user who may not write to that folder shows nothing here, whatever it does. To fix: receive JSON,
    msgpack or protobuf and check what they hold; no recv_pyobj() and no pickle on a socket that others can reach.
    """
    if trial.observation.executed:
        raise violated(
            "The target executed code that a peer had sent: the canary's mark was there after the attack.",
            Measure("executed", "os.mkdir() or open() at a path of ours", "nothing"),
            signature="executes",
            advice="Never unpickle what comes from a socket (recv_pyobj, pickle, dill, yaml.load, jsonpickle, eval): "
            "use JSON or msgpack and check it; where it must be pickle, sign it (HMAC) and check that first.",
        )
