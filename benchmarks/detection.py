"""Weak twin caught, hardened twin not: each pair N times, several runs at once so that both cores are busy.

    python benchmarks/detection.py [-n 20] [--jobs 4] [--only ZF102]

Prints a matrix: for each pair how often the weak twin was caught with its code, how often the hardened twin was
flagged with that code, how often with any other, and how often a run was left inconclusive. What libzmq
itself does, whatever the program (a public crash of its own, say), is not counted, but where the program can do
something about it: a message that never ends (ZF203), and a client's one socket for ever. ``median s``: until the weak
twin was caught; its run is stopped then.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "targets" / "examples"
JEROMQ = "/usr/share/java/jeromq.jar"
"""Of Debian's libjeromq-java."""
QUIET = ("--exclude", "multipart,oversized-frame")
"""For pairs that are not about held memory: a default socket holds an endless message, and finding that takes time."""
PLAIN = ("--username", "ada", "--password", "lovelace")
SERVER = ("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
CLIENT = ("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
CURVE = (f"--server-key={SERVER[0]}", f"--client-key={':'.join(CLIENT)}")
LOCK = ("--mechanism", "curve", f"--secret-key={SERVER[1]}", f"--allow={CLIENT[0]}")
"""The key pairs of zmq_curve(7), public and secret; what the two sides are given."""


@dataclass(frozen=True)
class Pair:
    """A weak program and its hardened twin; ``options`` for zmqfuzz, the words of the two commands.

    ``library``: also what libzmq itself does counts, as the program can do something about it, and the hardened does.
    """

    code: str
    name: str
    options: tuple[str, ...]
    weak: tuple[str, ...]
    hardened: tuple[str, ...]
    library: bool = False

    def codes(self, codes: frozenset[str], own: frozenset[str]) -> frozenset[str]:
        """Of what was found, what counts: ``own`` is not libzmq's."""
        return codes if self.library else own


def pairs(folder: Path) -> list[Pair]:
    """The pairs there are; those in C, Java and JavaScript only where they can be built or run."""

    def python(name: str, *words: str) -> tuple[str, ...]:
        return (sys.executable, str(EXAMPLES / f"{name}.py"), *words)

    frames = ("--max-frame", "65536", "--only", "oversized-frame")
    parts, cut = ("--max-message", "256KiB", "--only", "multipart"), ("--only", "abrupt-disconnect")
    hardened = python("frame_limit", "--hardened")
    shapes = ("--only", "envelope,malformed-message")
    client = ("--bind", "{bind}")
    ends = ("--linger", "1s", "--delivers", "1", "--only", "malformed-message")
    connect = ("--connect", "{bind}")
    dead = ("--only", "dead-peer", "--handshake-within", "1s", "--hung-within", "1s", "--vanished-within", "4s")
    reaps = python("reaper", "--hardened")
    names = folder / "asked.jsonl"
    names.write_text('["{\\"name\\": \\"Ada\\"}"]\n')
    found = [
        Pair("ZF101", "worker_crash", QUIET, python("worker_crash"), python("worker_crash", "--hardened")),
        Pair("ZF101", "load_server", QUIET, python("load_server"), python("load_server", "--hardened")),
        Pair("ZF102", "worker_deaf", QUIET, python("worker_deaf"), python("worker_deaf", "--hardened")),
        Pair(
            "ZF102",
            "client",
            (*QUIET, *client),
            python("client", *connect),
            python("client", *connect, "--hardened"),
            library=True,
        ),
        Pair("ZF103", "stop_and_wait", QUIET, python("stop_and_wait"), python("stop_and_wait", "--hardened")),
        Pair("ZF102", "one_at_a_time", QUIET, python("one_at_a_time"), python("one_at_a_time", "--hardened")),
        Pair("ZF104", "worker_pool", QUIET, python("worker_pool"), python("worker_pool", "--hardened")),
        Pair("ZF105", "spinner", shapes, python("spinner"), python("spinner", "--hardened")),
        Pair("ZF201", "frame_limit", frames, python("frame_limit"), hardened),
        Pair("ZF201", "frame_limit, off by one", frames, python("frame_limit", "--off-by-one"), hardened),
        Pair("ZF201", "frame_limit, set too late", frames, python("frame_limit", "--too-late"), hardened),
        Pair("ZF202", "frame_limit, too low", frames, python("frame_limit", "--too-low"), hardened),
        Pair("ZF203", "broker", (), python("broker"), python("broker", "--hardened"), library=True),
        Pair("ZF204", "memory_leak", QUIET, python("memory_leak"), python("memory_leak", "--hardened")),
        Pair("ZF204", "lookup", (*QUIET, "--seeds", str(names)), python("lookup"), python("lookup", "--hardened")),
        Pair("ZF207", "broker, in parts", parts, python("broker"), python("broker", "--hardened")),
        Pair("ZF208", "relay", cut, python("relay"), python("relay", "--hardened")),
        Pair("ZF301", "pickle_server", QUIET, python("pickle_server"), python("pickle_server", "--hardened")),
        Pair("ZF321", "shutdown", ends, python("shutdown"), python("shutdown", "--hardened")),
        Pair("ZF322", "shutdown, drops", ends, python("shutdown", "--drop"), python("shutdown", "--hardened")),
        Pair("ZF102", "zap (PLAIN)", (*QUIET, *PLAIN), python("zap"), python("zap", "--hardened")),
        Pair("ZF102", "zap (CURVE)", (*QUIET, *CURVE), python("zap", *LOCK), python("zap", *LOCK, "--hardened")),
        Pair("ZF311", "reaper", dead, python("reaper"), reaps),
        Pair("ZF311", "reaper, set too late", dead, python("reaper", "--set-late"), reaps),
        Pair("ZF311", "reaper, no HANDSHAKE_IVL", dead, python("reaper", "--no-handshake-ivl"), reaps),
        Pair("ZF312", "reaper, no heartbeat", dead, python("reaper", "--no-heartbeat"), reaps),
        Pair("ZF313", "reaper, nor keepalive", dead, python("reaper", "--no-heartbeat", "--no-keepalive"), reaps),
        Pair("ZF314", "reaper, impatient", dead, python("reaper", "--impatient"), reaps),
        Pair("ZF315", "reaper, no ZAP_DOMAIN", dead, python("reaper", "--no-zap-domain"), reaps),
        Pair("ZF316", "reaper, no ZAP_DOMAIN", dead, python("reaper", "--no-zap-domain"), reaps),
        Pair("ZF205", "descriptor_leak", QUIET, python("descriptor_leak"), python("descriptor_leak", "--hardened")),
    ]
    found.append(Pair("ZF213", "inflater", QUIET, python("inflater"), python("inflater", "--hardened")))
    exposure = ("--only", "exposure", "--expose", "tcp://127.0.0.1:*", "--expose", "ipc:///*")
    folder.chmod(0o711)  # other users can search it, as they can /run
    socket = ("--ipc", f"ipc://{folder}/{{port}}.sock")
    found += [
        Pair("ZF652", "exposed", exposure, python("exposed"), python("exposed", "--hardened")),
        Pair("ZF653", "exposed, ipc", exposure, python("exposed", *socket), python("exposed", *socket, "--hardened")),
    ]
    found += locks_and_rates(python)
    for kind in ("PUB", "XPUB", "PUSH", "DEALER", "ROUTER", "REP"):
        feed = python("feed", "--socket", kind)
        found.append(Pair("ZF210", f"feed, {kind}", ("--only", "backlog"), feed, (*feed, "--hardened")))
    for code, words, promise in (
        ("ZF701", (), ()),
        ("ZF702", ("--repeats",), ()),
        ("ZF703", ("--drops",), ("--bystander-loss", "0")),
        ("ZF704", ("--one-queue",), ("--bystander-within", "500ms")),
        ("ZF706", ("--newest-first",), ()),
        ("ZF707", ("--handover",), ()),
    ):
        desk = python("desk", *words)
        name = " ".join(("desk", *words))
        found.append(Pair(code, name, ("--only", "company", *promise), desk, (*desk, "--hardened")))
    for kind, form in (("PUB", ()), ("PUB", ("--unnumbered",)), ("XPUB", ()), ("PUSH", ()), ("ROUTER", ())):
        ticker, says = python("ticker", "--socket", kind, *form), ("--only", "drops", "--drops", "log:dropped")
        name = " ".join(("ticker,", kind, *form))
        found.append(Pair("ZF212", name, says, ticker, (*ticker, "--hardened")))
    for kind in ("PUB", "PUSH"):
        ticker = python("ticker", "--socket", kind, "--aside")
        found.append(Pair("ZF708", f"ticker, {kind}", ("--only", "company"), ticker, (*ticker, "--hardened")))
    told = ("--only", "company", "--overheard", "0")
    found.append(Pair("ZF705", "form", told, python("form"), python("form", "--hardened")))
    for words in ((), ("--queue",)):
        slow = python("slow_consumer", *words)
        name = " ".join(("slow_consumer", *words))
        found.append(Pair("ZF211", name, ("--only", "backlog"), slow, (*slow, "--hardened")))
    found += in_c(folder) + in_java(folder) + in_javascript()
    return found


def in_c(folder: Path) -> list[Pair]:
    """Programs in C, with the libzmq of the system; none where they cannot be compiled."""
    found = []
    ways = (
        ("cserver", "rep", "ZF101", QUIET),
        ("cdesk", "feed", "ZF210", ("--only", "backlog")),
        ("cdesk", "slow", "ZF211", ("--only", "backlog")),
        ("cdesk", "mixed", "ZF701", ("--only", "company")),
    )
    for name in dict.fromkeys(way[0] for way in ways):
        program = str(folder / name)
        build = ["gcc", "-O1", "-g", "-fstack-protector-strong", "-o", program, str(EXAMPLES / f"{name}.c"), "-lzmq"]
        if not built(build, f"{name}.c", "gcc and libzmq3-dev"):
            continue
        for _, mode, code, options in (way for way in ways if way[0] == name):
            weak = (program, mode, "tcp://127.0.0.1:{port}")
            found.append(Pair(code, f"{name} {mode} (C)", options, weak, (*weak, "hardened")))
    return found


def in_java(folder: Path) -> list[Pair]:
    """A program on JeroMQ, a ZMTP of its own: no libzmq at all; none where it cannot be compiled."""
    build = ["javac", "-cp", JEROMQ, "-d", str(folder), str(EXAMPLES / "Upper.java")]
    if not built(build, "Upper.java", "a JDK and libjeromq-java"):
        return []
    java = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{JEROMQ}:{folder}")
    weak = (*java, "Upper", "tcp://127.0.0.1:{port}")
    return [Pair("ZF101", "Upper (JeroMQ)", ("--only", "malformed-message"), weak, (*weak, "hardened"))]


def in_javascript() -> list[Pair]:
    """A program on npm's zeromq; none where node does not find that (``NODE_PATH`` says where it is)."""
    if not built(["node", "-e", "require('zeromq')"], "upper.js", "node and npm's zeromq, found through NODE_PATH,"):
        return []
    weak = ("node", str(EXAMPLES / "upper.js"), "tcp://127.0.0.1:{port}")
    return [Pair("ZF101", "upper (Node)", ("--only", "malformed-message,envelope"), weak, (*weak, "hardened"))]


def built(command: list[str], source: str, needs: str) -> bool:
    """Whether a program could be compiled, or can be run."""
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        print(f"{source} cannot be run ({needs} are needed): left out", file=sys.stderr)
        return False
    return True


def locks_and_rates(python: Callable[..., tuple[str, ...]]) -> list[Pair]:
    """Doors that should be locked, and a service that promises a rate."""
    strangers, pulls = ("--only", "authorisation"), ("--socket", "PULL")
    any_key = (*strangers, f"--server-key={SERVER[0]}")
    late = (f"--secret-key={SERVER[1]}", "--socket", "ROUTER")
    second = (*late, "--second", "{ipc}")
    nobody = ("--hardened", f"--secret-key={SERVER[1]}", "--zap", "none")
    listed = (f"--secret-key={SERVER[1]}", f"--allow={CLIENT[0]}", "--hardened")
    plain, curve, rate = (*strangers, *PLAIN), (*strangers, *CURVE), ("--only", "rate", "--rate", "50/s")
    kept = python("rate_limited", "--hardened")
    each = python("rate_limited", "--per-connection")
    waits, told = (
        python("rate_limited", "--hardened", "--over", "wait"),
        python("rate_limited", "--hardened", "--over", "error"),
    )
    own = python("own_curve", f"--secret-key={SERVER[1]}")
    trusting, closes = ("--trusting",), (*LOCK, "--closes")
    claims, board = "forged-metadata", python("notices")
    sealed = (*board, f"--secret-key={SERVER[1]}")
    serves = (*strangers, f"--our-secret-key={SERVER[1]}", "--bind", "{bind}")
    asks = python("locked_client", "--connect", "{bind}", f"--server-key={SERVER[0]}")
    return [
        Pair("ZF401", "curve, no ZAP handler", curve, python("curve", *nobody), python("curve", *listed)),
        Pair("ZF401", "zap (PLAIN), trusting", plain, python("zap", *trusting), python("zap", *trusting, "--hardened")),
        Pair("ZF402", "curve, keys too late", any_key, python("curve", *late), python("curve", *late, "--hardened")),
        Pair("ZF402", "curve, second door", any_key, python("curve", *second), python("curve", *second, "--hardened")),
        Pair("ZF403", "zap (CURVE), fails open", curve, python("zap", *closes), python("zap", *closes, "--hardened")),
        Pair("ZF401", "own_curve, no vouch", any_key, (*own, "--no-vouch"), (*own, "--hardened")),
        Pair("ZF404", "own_curve, used nonces", any_key, own, (*own, "--hardened")),
        Pair("ZF405", "locked_client, falls back", serves, asks, (*asks, "--hardened")),
        Pair("ZF406", "locked_client, keys late", serves, (*asks, "--keys-late"), (*asks, "--hardened")),
        Pair("ZF407", "notices", ("--only", claims), board, (*board, "--hardened")),
        Pair("ZF407", "notices (CURVE)", ("--only", claims, *CURVE[:1]), sealed, (*sealed, "--hardened")),
        Pair("ZF501", "rate_limited, no limit", rate, python("rate_limited"), kept),
        Pair("ZF501", "rate_limited, each one", rate, each, waits),
        Pair("ZF501", "rate_limited, answers", rate, each, told),
        Pair("ZF501", "rate_limited, PULL", rate, python("rate_limited", *pulls), (*kept, *pulls)),
    ]


@dataclass(frozen=True)
class Result:
    """One run: exit code, codes found (``own``: those that are not libzmq's), seconds, and what it printed."""

    exit: int
    codes: frozenset[str]
    own: frozenset[str]
    seconds: float
    output: str

    @property
    def tail(self) -> str:
        """The end of what it printed."""
        return "\n".join(line for line in self.output.splitlines()[-12:] if "not covered" not in line)


def found_in(store: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The codes of what was found, and of what is not libzmq's."""
    findings = [json.loads(file.read_text()) for file in store.glob("findings/*/finding.json")]
    codes = frozenset(finding["code"] for finding in findings)
    return codes, frozenset(f["code"] for f in findings if not f.get("owner", "").startswith("libzmq"))


def run(pair: Pair, side: str, seed: int, seconds: float) -> Result:
    """One run of zmqfuzz; that against the weak twin is stopped when it has told the code of its pair."""
    command: tuple[str, ...] = getattr(pair, side)
    with tempfile.TemporaryDirectory() as folder:
        bind = f"tcp://127.0.0.1:{20000 + (os.getpid() * 7919 + seed * 31 + hash((pair.name, side))) % 9000}"
        words = ["run", "--for", f"{seconds}s", "--seed", str(seed), "--store", folder, *pair.options, "--", *command]
        started = time.monotonic()
        output = Path(folder) / "output"
        with output.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "zmqfuzz", *(word.replace("{bind}", bind) for word in words)],
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )
            while process.poll() is None:
                time.sleep(0.5)
                if side == "weak" and pair.code in pair.codes(*found_in(Path(folder))):
                    process.send_signal(signal.SIGINT)
                    process.wait()
        codes, own = found_in(Path(folder))
        said = output.read_text(errors="replace")
    return Result(process.returncode, codes, own, time.monotonic() - started, said)


def main() -> None:
    """Run the matrix; exit 1 when any cell is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=20, help="runs of each twin")
    parser.add_argument("--jobs", type=int, default=4, help="runs at once; more than the machine has cores")
    parser.add_argument("--for", dest="seconds", type=float, default=30.0, help="seconds of each run")
    parser.add_argument("--only", help="only pairs of this code")
    parser.add_argument("--pair", default="", help="only pairs whose name begins with this")
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show the end of runs that went wrong, and save all they printed in this folder",
    )
    options = parser.parse_args()
    bad = False
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        chosen = [
            pair
            for pair in pairs(Path(folder))
            if options.only in (None, pair.code) and pair.name.startswith(options.pair)
        ]
        futures = {
            (pair, side): [pool.submit(run, pair, side, seed, options.seconds) for seed in range(options.n)]
            for pair in chosen
            for side in ("weak", "hardened")
        }
        print(f"{'code':6} {'pair':28} {'caught':>12} {'hardened code':>15} {'other':>5} {'unsure':>7} {'median s':>9}")
        for pair in chosen:
            weak = [future.result() for future in futures[pair, "weak"]]
            hardened = [future.result() for future in futures[pair, "hardened"]]
            told = [pair.codes(result.codes, result.own) for result in weak]
            caught = sum(pair.code in codes for codes in told)
            flagged = sum(pair.code in pair.codes(result.codes, result.own) for result in hardened)
            other = sum(bool(result.own - {pair.code}) for result in hardened)
            unsure = sum(result.exit not in (0, 1) for result in hardened)
            median = sorted(result.seconds for result in weak)[options.n // 2]
            n = options.n
            print(
                f"{pair.code:6} {pair.name:28} {f'{caught}/{n}':>12} {f'{flagged}/{n}':>15} {other:>5} {unsure:>7}"
                f" {median:>9.1f}",
                flush=True,
            )
            bad = bad or caught < n or flagged or other or unsure
            if options.verbose:
                odd = [r for r, codes in zip(weak, told, strict=True) if pair.code not in codes] + [
                    r for r in hardened if r.own or r.exit not in (0, 1)
                ]
                for number, result in enumerate(odd):
                    print(f"--- exit {result.exit}\n{result.tail}\n---")
                    Path(f"odd-{pair.code}-{pair.name.split()[0]}-{number}.txt").write_text(result.output)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
