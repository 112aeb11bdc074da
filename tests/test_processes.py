"""Process trees, listeners and usage, on real processes."""

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from zmqfuzz.processes import Watch, descendants, stat, tree
from zmqfuzz.sockets import Listener, abandoned, listening

CHILD = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
PARENT = f"import subprocess, time; subprocess.Popen({CHILD!r}); print('up', flush=True); time.sleep(600)"


@contextmanager
def _running(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program that has said its first word; killed at the end, with its children."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            for pid in tree(process.pid):
                os.kill(pid, 9)


def _until(condition: Callable[[], bool], within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_descendants_and_the_end_of_a_process() -> None:
    with _running(PARENT) as parent:
        (child,) = descendants(parent.pid)
        assert tree(parent.pid) == (parent.pid, child)
        assert child in descendants(os.getpid())
        record = stat(child)
        assert record is not None
        assert record.ppid == parent.pid
        os.kill(child, 9)
        assert _until(lambda: descendants(parent.pid) == ())  # a zombie now
        parent.kill()
        assert _until(lambda: tree(parent.pid) == ())
    assert stat(parent.pid) is None


def test_children_of_every_thread_are_seen() -> None:
    code = (
        f"import subprocess, threading; t = threading.Thread(target=lambda: (subprocess.Popen({CHILD!r}), "
        "print('up', flush=True), threading.Event().wait())); t.start()"
    )
    with _running(code) as parent:
        assert len(descendants(parent.pid)) == 1


def test_listening_everywhere(tmp_path: Path) -> None:
    path = str(tmp_path / "door")
    with ExitStack() as stack:

        def tcp(host: str, family: socket.AddressFamily) -> int:
            return int(stack.enter_context(socket.create_server((host, 0), family=family)).getsockname()[1])

        four, any_four = tcp("127.0.0.1", socket.AF_INET), tcp("0.0.0.0", socket.AF_INET)
        six, any_six = tcp("::1", socket.AF_INET6), tcp("::", socket.AF_INET6)
        for name in (path, f"\0{path}"):
            door = stack.enter_context(socket.socket(socket.AF_UNIX))
            door.bind(name)
            door.listen()
        client = stack.enter_context(socket.create_connection(("127.0.0.1", four)))
        assert client
        me = os.getpid()
        assert set(listening([me])) == {
            Listener(f"tcp://127.0.0.1:{four}", f"tcp://127.0.0.1:{four}", me),
            Listener(f"tcp://127.0.0.1:{any_four}", f"tcp://0.0.0.0:{any_four}", me),
            Listener(f"tcp://[::1]:{six}", f"tcp://[::1]:{six}", me),
            Listener(f"tcp://[::1]:{any_six}", f"tcp://[::]:{any_six}", me),
            Listener(f"ipc://{path}", f"ipc://{path}", me),
            Listener(f"ipc://@{path}", f"ipc://@{path}", me),
        }
    assert listening([me]) == ()
    assert listening([]) == ()


def test_a_relative_path_is_made_absolute(tmp_path: Path) -> None:
    code = (
        f"import os, socket, time; os.chdir({str(tmp_path)!r}); s = socket.socket(socket.AF_UNIX); s.bind('door'); "
        "s.listen(); print('up', flush=True); time.sleep(600)"
    )
    with _running(code) as process:
        assert listening([process.pid]) == (Listener(f"ipc://{tmp_path}/door", "ipc://door", process.pid),)


def test_abandoned() -> None:
    me = os.getpid()
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        before = abandoned([me])
        with socket.create_server((host, 0), family=family) as door:
            client = socket.create_connection(door.getsockname()[:2])
            held, _ = door.accept()
            with held:
                assert abandoned([me]) == before
                client.close()
                assert _until(lambda before=before: abandoned([me]) == before + 1)  # type: ignore[misc]
        assert abandoned([me]) == before


def test_connections_that_were_reset_are_abandoned_and_other_sockets_are_not() -> None:
    me = os.getpid()
    kinds = [(socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)]
    if hasattr(socket, "AF_NETLINK"):
        kinds.append((socket.AF_NETLINK, socket.SOCK_RAW))
    before = abandoned([me])
    others = [socket.socket(family, kind) for family, kind in kinds]
    others[1].bind(("127.0.0.1", 0))
    if len(others) > 2:
        others[2].bind((0, 0))
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname())
        held, _ = door.accept()
        with held:
            assert abandoned([me]) == before
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            assert _until(lambda: abandoned([me]) == before + 1)
    for other in others:
        other.close()


def test_watch_sees_memory_descriptors_threads_and_cpu() -> None:
    code = (
        "import os, threading, sys; print('up', flush=True); sys.stdin.readline(); kept = bytearray(b'x') * (64 << 20);"
        "files = [os.dup(0) for _ in range(50)]; e = threading.Event();"
        "[threading.Thread(target=e.wait, daemon=True).start() for _ in range(5)];"
        "exec('import time\\nwhile time.process_time() < 0.2: pass'); print('done', flush=True); e.wait()"
    )
    with _running(code) as process, Watch([process.pid]) as watch:
        assert process.stdin is not None
        assert process.stdout is not None
        before = watch.sample()
        process.stdin.write(b"go\n")
        process.stdin.flush()
        process.stdout.readline()
        after = watch.sample()
        assert before is not None
        assert after is not None
        assert 60 << 20 < after.rss - before.rss < 80 << 20
        assert after.virtual - before.virtual > 60 << 20
        assert after.descriptors - before.descriptors == 50
        assert (before.threads, after.threads) == (1, 6)
        assert after.cpu - before.cpu > 0.1
        process.kill()
        assert _until(lambda: watch.sample() is None)


def test_watch_finds_new_children_and_loses_dead_ones() -> None:
    with _running(PARENT) as parent, Watch([parent.pid], rescan=0.0) as watch:
        both = watch.sample()
        assert both is not None
        assert both.processes == 2
        os.kill(descendants(parent.pid)[0], 9)
        assert _until(lambda: (now := watch.sample()) is not None and now.processes == 1)
        alone = watch.sample()
        assert alone is not None
        assert alone.rss < both.rss
        assert alone.cpu >= both.cpu


def test_watch_leaves_no_file_open() -> None:
    def mine() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = mine()
    with _running(PARENT) as parent:
        with Watch.asking(lambda: tree(parent.pid)) as watch:
            during = mine()
            watch.sample()
            assert mine() == during + 4
        assert mine() == during
    assert mine() <= before


def test_watch_of_nothing() -> None:
    with Watch([2**22 + 1]) as watch:
        assert watch.sample() is None
