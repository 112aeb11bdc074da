"""A fault proxy that speaks ZMTP: it stands between two real peers, and does at a protocol event what it was told.

::

    proxy = zmq_proxy(broker_endpoint)          # the fixture; or: with Proxy(broker_endpoint) as proxy
    client = Client(proxy.endpoint)
    with proxy.fault.hang(after="READY"):
        ...                                     # healed on exit

Contract: without a fault no octet is changed, added, lost or reordered. What is not ZMTP is forwarded as it is, and the
log says so. Nothing is left after ``close``: no thread, no socket, no file.
"""

from zmqfuzz.fault import Fault
from zmqfuzz.proxy.ledger import Ledger
from zmqfuzz.proxy.record import Entry, Passage
from zmqfuzz.proxy.service import ActiveFault, Faults, Proxy

__all__ = ["ActiveFault", "Entry", "Fault", "Faults", "Ledger", "Passage", "Proxy"]
