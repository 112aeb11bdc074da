"""Any libzmq as a target: turns a shared library, a socket type and a mechanism into a command to start.

Contract: the library is looked at before anything is attacked, in a process of its own; what is wrong with it is a
UsageError of one sentence. The program that is started is :mod:`zmqfuzz.targets.library_host`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import zmq

from zmqfuzz.credentials import Credentials
from zmqfuzz.endpoints import free_port
from zmqfuzz.errors import UsageError
from zmqfuzz.sockopts import Set, written
from zmqfuzz.zmtp.wire import SOCKET_TYPES

__all__ = ["HOST", "MECHANISMS", "Hosted", "hosted", "locate"]

MECHANISMS = ("null", "plain", "curve")

HOST = "zmqfuzz.targets.library_host"
"""The module of the program that is started."""

_HOST = (sys.executable, "-m", HOST)
_LOOK_WITHIN = 30.0  # seconds to load a library; a busy machine takes one
_UNPACKED_MAX = 64 << 20  # octets of one library in a wheel; those of libzmq have at most 6 MiB


@dataclass(frozen=True, slots=True)
class Hosted:
    """A libzmq in a process.

    ``command`` has ``{port}``, which is replaced at each start. ``bind`` is where we listen for it, empty where it
    listens itself. ``credentials`` are what a peer needs to be let in: ``username`` and ``password``; for CURVE keys
    in Z85, ``server_key``, and perhaps ``client_key`` and ``client_secret``; where we are the server ``server_secret``.
    """

    command: tuple[str, ...]
    bind: tuple[str, ...]
    name: str
    version: str
    credentials: dict[str, str]

    def known(self) -> Credentials:
        """The same, as a run takes them."""
        held = self.credentials
        pair = f"{held['client_key']}:{held['client_secret']}" if "client_secret" in held else None
        return Credentials.read(
            username=held.get("username"),
            password=held.get("password"),
            server_key=held.get("server_key"),
            client_key=pair,
            our_secret_key=held.get("server_secret"),
        )


def hosted(
    path: str | Path,
    socket_type: str,
    *,
    mechanism: str = "null",
    connecting: bool = False,
    mended: bool = False,
    impatient: bool = False,
    closed: bool = False,
    options: Set = (),
) -> Hosted:
    """A socket of the libzmq at ``path``: a shared library, or a folder or wheel that holds one.

    With PLAIN and CURVE it is the server where it listens, and lets in who has the ``credentials``: with CURVE any key
    pair, so that a finding can be replayed without a secret (``closed``: one pair only). ``mended``: where libzmq has
    given up the endpoint that it connects to (libzmq issue 4196), the program connects anew; ``impatient``: also where
    it has heard nothing for 100 ms. ``options`` are set before it binds or connects. Raises UsageError.
    """
    kind, mechanism = socket_type.upper(), mechanism.lower()
    if kind not in SOCKET_TYPES:
        known = ", ".join(SOCKET_TYPES)
        raise UsageError(f"--libzmq needs the socket type to open (--socket); there are {known}.")
    if mechanism not in MECHANISMS:
        raise UsageError(f"There is no mechanism {mechanism!r}; there are {', '.join(MECHANISMS)}.")
    words: tuple[str, ...] = (str(locate(Path(path))), kind.lower(), "--mechanism", mechanism)
    secrets, credentials = _secrets(mechanism, connecting, closed)
    words += (*secrets, *_set(options))
    version = _look(words)
    bind: tuple[str, ...] = ()
    if connecting:
        bind = (f"tcp://127.0.0.1:{free_port()}",)
        manners = [word for word, wanted in (("--mended", mended), ("--impatient", impatient)) if wanted]
        words += ("--connect", bind[0], *manners)
    else:
        words += ("--bind", "tcp://127.0.0.1:{port}")
    said = [mechanism.upper()] if mechanism != "null" else []
    name = " ".join(["libzmq", version, kind, *said, *([written(options)] if options else [])])
    return Hosted((*_HOST, *words), bind, name, version, credentials)


def _secrets(mechanism: str, connecting: bool, closed: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """What the library's process must know, as options; and what its peers must know."""
    if mechanism == "plain":
        return ("--username", "zmqfuzz", "--password", "zmqfuzz"), {"username": "zmqfuzz", "password": "zmqfuzz"}
    if mechanism == "null":
        return (), {}
    if not zmq.has("curve"):
        raise UsageError(
            "The libzmq of the installed pyzmq was built without CURVE, so keys cannot be made; replace it."
        )
    server, server_secret, client, client_secret = (
        key.decode("ascii") for _ in range(2) for key in zmq.curve_keypair()
    )
    # Joined with "=": a key may begin with a dash.
    if connecting:
        own = (f"--public-key={client}", f"--secret-key={client_secret}", f"--server-key={server}")
        return own, {"server_key": server, "server_secret": server_secret}
    keys = (f"--public-key={server}", f"--secret-key={server_secret}")
    if not closed:
        return keys, {"server_key": server}
    return (*keys, f"--allow-key={client}"), {
        "server_key": server,
        "client_key": client,
        "client_secret": client_secret,
    }


def _set(options: Set) -> tuple[str, ...]:
    """The options by their numbers. Raises UsageError."""
    words: tuple[str, ...] = ()
    for name, value in options:
        if isinstance(value, str):
            raise UsageError(f"--set {name}: a library is only given options that are numbers; leave it out.")
        words += ("--option", f"{name}={int(zmq.SocketOption[name])}={value}")
    return words


def locate(path: Path) -> Path:
    """The libzmq shared library at ``path``, or in the folder or wheel there. Raises UsageError."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*libzmq*.so*") if file.is_file())
        if not found:
            raise UsageError(f"There is no libzmq.so in the folder {path}; give the path of the library itself.")
        return found[0].absolute()
    if not path.is_file():
        raise UsageError(f"There is no file {path}; give the path of a libzmq shared library.")
    return locate(_unpacked(path)) if zipfile.is_zipfile(path) else path.absolute()


def _unpacked(wheel: Path) -> Path:
    """The shared libraries beside a wheel's modules (``NAME.libs/``, ``.libs/``), in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqfuzz" / "libzmq" / wheel.stem
    with zipfile.ZipFile(wheel) as archive:
        held = [info for info in archive.infolist() if ".so" in info.filename and "libs/" in info.filename]
        if not any("libzmq" in info.filename for info in held):
            raise UsageError(f"The wheel {wheel} brings no libzmq of its own; give one that does.")
        for info in held:
            if info.file_size > _UNPACKED_MAX:
                raise UsageError(f"{info.filename} in {wheel} is larger than {_UNPACKED_MAX >> 20} MiB; unpack it.")
            file = cache / Path(info.filename).name
            if not file.is_file() or file.stat().st_size != info.file_size:
                cache.mkdir(parents=True, exist_ok=True)
                fresh = file.with_name(f"{file.name}.{os.getpid()}")
                fresh.write_bytes(archive.read(info))
                fresh.replace(file)
    return cache


def _look(words: tuple[str, ...]) -> str:
    """The version of the library that ``words`` begin with, once it has opened such a socket. Raises UsageError."""
    try:
        done = subprocess.run(
            [*_HOST, *words, "--version"], capture_output=True, text=True, timeout=_LOOK_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{words[0]} opened no socket within {_LOOK_WITHIN:g} s; try it with a small program."
        ) from None
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("library_host: ")[2].splitlines()
        raise UsageError(
            said[-1] if said else f"{words[0]} ended its process with {done.returncode} when it was opened."
        )
    return done.stdout.strip()
