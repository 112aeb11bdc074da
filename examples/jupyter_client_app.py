"""A Jupyter client, as a notebook front end or a monitoring job is one: connects all five channels of a kernel that
runs already, and asks it every second who it is, for ever.

With --once it asks once, and its exit code is 0 when the kernel answered: a check for zmqfuzz --probe.
"""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import time

from jupyter_client.blocking import BlockingKernelClient  # type: ignore[import-not-found,unused-ignore]

PATIENCE, INTERVAL = 2.0, 0.3


def answered(client: BlockingKernelClient) -> bool:
    """Ask for kernel_info, and wait until its reply comes or patience ends."""
    asked = client.kernel_info()
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        try:
            reply = client.get_shell_msg(timeout=left)
        except queue.Empty:
            return False
        except ValueError as error:  # a wrong signature, a message without its parts
            print(f"not a message: {error}", file=sys.stderr, flush=True)
            continue
        if reply["parent_header"].get("msg_id") == asked:
            return True
    return False


def main() -> None:
    """Connect, then ask until SIGTERM or SIGINT; tells when the kernel starts or stops to answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("connection_file")
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    client = BlockingKernelClient(connection_file=options.connection_file)
    client.load_connection_file()
    client.start_channels()
    if options.once:
        sys.exit(not answered(client))
    served: bool | None = None
    while True:
        now = answered(client)
        if now is not served:
            served = now
            print("the kernel answers" if now else "no answer from the kernel", file=sys.stderr, flush=True)
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
