"""No more messages are taken than promised."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.measured import Flow
from zmqfuzz.rating import allowed, burst, way
from zmqfuzz.trial import Examination

__all__ = ["rate_kept"]


def _said(flow: Flow) -> str:
    return f"{flow.taken:,} of {flow.offered:,} in {flow.seconds:.1f} s"


@invariant(
    "ZF501",
    "More messages are taken than the declared rate allows",
    severity=Severity.HIGH,
    examines="rate",
    declared="rate",
)
def rate_kept(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """Of all peers together the target takes no more messages than its rate, and a burst.

    Why: what stands behind the target was built for a rate; one client in a loop, or many at once, pass it where
    the limit is missing, or is counted for each connection. Measured: honest messages, like one that the target
    answered, are sent evenly three times too often for three to six seconds, by one peer and by eight, on three
    fresh processes; counted are answers like those that an honest peer gets alone (an error is another), or, where
    nobody is answered, what comes out at another door, or the number that --counter prints. A breach is more than
    1.2 times of the burst (--burst; else two seconds' worth) and the rate over that time, and two messages. Being
    late, the target's or ours, can only lower the count. How the rest is kept away (dropped, left waiting,
    connections not read or closed, another answer), and what a bystander gets, is told. Inconclusive: an honest
    peer at half of the rate is not counted, or more than once for each message; answers that always differ, of
    other sizes in the flood; a target that is at work all the time and comes nowhere near the rate. To fix: one
    token bucket in front of the work, for all connections of all sockets that lead there.
    """
    flows = [trial.observation.flow for trial in seen.trials if trial.observation.flow is not None]
    if limits.rate is None or seen.doubts or not flows:
        return
    if not all(flow.taken > allowed(limits, flow.seconds) for flow in flows):
        return
    worst = max(flows, key=lambda flow: flow.taken / flow.seconds)
    peers = "one peer" if worst.peers == 1 else f"{worst.peers} peers together"
    honest = worst.honest
    measures = [
        Measure("messages taken", ", ".join(map(_said, flows)), f"<= {allowed(limits, worst.seconds):,.0f}"),
        Measure("rate", f"{worst.taken / worst.seconds:,.0f}/s", f"{limits.rate:g}/s, burst {burst(limits):g}"),
        Measure("counted", worst.by),
        Measure("what is done with the rest", way(worst)),
    ]
    if honest is not None:
        measures.append(Measure("bystander", f"{honest.got} of {honest.wanted} answers"))
    raise violated(
        f"Of {peers} it took {worst.taken:,} messages in {worst.seconds:.1f} s, {worst.taken / worst.seconds:,.0f} a "
        f"second, with {limits.rate:g}/s declared.",
        *measures,
        signature="one peer" if worst.peers == 1 else "many peers",
        advice="Put one token bucket in front of the work, for all connections together: a limit for each of them is "
        "passed by whoever opens several.",
    )
