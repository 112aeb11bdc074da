"""The table of advisories, how far they are reached, and which libzmq a process really runs."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
import zmq

from zmqfuzz.advisories import STALE, Reach, reaches, table, told_severity
from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.exposure import Exposure, Loaded, Version
from zmqfuzz.finding import Severity, Violation
from zmqfuzz.mapped import libraries, loaded, version_in
from zmqfuzz.trial import Surface
from zmqfuzz.vendored import vendor

ZF651 = invariants()["ZF651"]
OWN: Version = tuple(map(int, zmq.zmq_version().split(".")))  # type: ignore[assignment]
NULL_PUB = Surface("tcp://127.0.0.1:1", "PUB")
CURVE_PULL = Surface("tcp://127.0.0.1:1", "PULL", "CURVE")
NULL_PULL = Surface("tcp://127.0.0.1:1", "PULL")
NULL_SUB_CLIENT = Surface("tcp://127.0.0.1:1", "SUB", side="connect")


def judged(version: Version | None, *doors: Surface, vendor: str = "") -> Violation | None:
    return ZF651.judge(Exposure(doors, loaded=(Loaded("/x/libzmq.so.5", version, vendor=vendor),)), Limits())


@pytest.mark.parametrize(
    ("version", "count"),
    [
        ((3, 2, 5), 0),
        ((4, 0, 4), 7),
        ((4, 0, 10), 0),
        ((4, 1, 0), 5),
        ((4, 1, 7), 3),
        ((4, 1, 8), 0),
        ((4, 2, 5), 8),
        ((4, 3, 1), 7),
        ((4, 3, 2), 6),
        ((4, 3, 3), 0),
        ((4, 3, 4), 0),
        ((4, 3, 5), 0),
        ((9, 0, 0), 0),
    ],
)
def test_a_version_has_what_was_published_of_its_line_of_releases(version: Version, count: int) -> None:
    assert len(table().about(version)) == count
    violation = judged(version, NULL_PULL)
    assert (violation is None) == (count == 0)
    assert violation is None or len(violation.measures) == count


def test_the_table_is_whole() -> None:
    assert table().checked <= date.today()
    names = [name for one in table().advisories for name in (one.id, *one.aliases)]
    assert len(names) == len(set(names))
    for one in table().advisories:
        assert one.source.startswith("https://")
        assert one.title[0].islower() or one.title.startswith("a ")
        assert all(first < fixed for first, fixed in one.affected)
        assert one.side in ("", "bind", "connect")


def test_a_stale_table_is_told() -> None:
    assert table().stale(table().checked + timedelta(days=STALE)) == ""
    said = table().stale(table().checked + timedelta(days=STALE + 1))
    assert f"{STALE + 1} days old" in said
    assert str(table().checked) in said


@pytest.mark.parametrize(
    ("identifier", "door", "reach", "severity"),
    [
        ("CVE-2019-13132", CURVE_PULL, Reach.ANYONE, Severity.CRITICAL),
        ("CVE-2019-13132", NULL_PULL, Reach.NOT_SEEN, Severity.LOW),
        ("CVE-2019-6250", NULL_PULL, Reach.ANYONE, Severity.HIGH),
        ("CVE-2019-6250", CURVE_PULL, Reach.INSIDE, Severity.MEDIUM),
        ("CVE-2020-15166", NULL_PULL, Reach.NOT_SEEN, Severity.LOW),
        ("CVE-2020-15166", CURVE_PULL, Reach.ANYONE, Severity.HIGH),
        ("CVE-2021-20236", NULL_PUB, Reach.ANYONE, Severity.CRITICAL),
        ("CVE-2021-20236", NULL_PULL, Reach.NOT_SEEN, Severity.LOW),
        ("CVE-2021-20236", Surface("tcp://127.0.0.1:1", "", "CURVE"), Reach.UNKNOWN, Severity.LOW),
        ("CVE-2021-20234", NULL_SUB_CLIENT, Reach.ANYONE, Severity.HIGH),
        ("CVE-2021-20234", Surface("tcp://127.0.0.1:1", "SUB", "PLAIN", side="connect"), Reach.ANYONE, Severity.HIGH),
        ("CVE-2021-20234", Surface("tcp://127.0.0.1:1", "SUB", "CURVE", side="connect"), Reach.INSIDE, Severity.MEDIUM),
        ("CVE-2021-20234", NULL_PULL, Reach.NOT_SEEN, Severity.LOW),
        ("libzmq issue 3594", NULL_PULL, Reach.UNKNOWN, Severity.LOW),
    ],
)
def test_how_far_a_peer_gets_is_known_from_the_greeting(
    identifier: str, door: Surface, reach: Reach, severity: Severity
) -> None:
    (one,) = (one for one in table().advisories if one.id == identifier)
    seen, why = reaches(one, door)
    assert (seen, told_severity(one, seen)) == (reach, severity)
    assert why


def test_the_worst_door_counts_and_is_named() -> None:
    worst = judged((4, 3, 2), NULL_PULL, NULL_PUB)
    assert worst is not None
    assert worst.severity is Severity.CRITICAL
    assert "reached by anyone at PUB-null-tcp-0" in worst.measures[0].observed
    assert worst.measures[0].limit == "libzmq >= 4.3.3"
    mild = judged((4, 0, 6), NULL_PULL)
    assert mild is not None
    assert mild.severity is Severity.LOW
    assert mild.signature == "reached: none of them"
    assert mild.again().severity is Severity.LOW


def test_what_is_not_known_is_not_told() -> None:
    assert judged(None, NULL_PUB) is None
    assert judged((4, 3, 2), NULL_PUB, vendor="its package libzmq5") is None
    assert ZF651.judge(Exposure((NULL_PUB,)), Limits()) is None


def test_the_library_of_this_very_process_is_known_and_has_nothing() -> None:
    (own,) = loaded([os.getpid()], ours=True)
    assert own.version == OWN
    assert own.features is not None
    assert ("curve" in own.features) == zmq.has("curve")
    assert ZF651.judge(Exposure((NULL_PUB,), loaded=(own,)), Limits()) is None
    (path,) = libraries([os.getpid()], "libzmq")
    assert own.path == path


def test_a_version_is_read_from_the_code_alone(tmp_path: Path) -> None:
    (path,) = libraries([os.getpid()], "libzmq")
    seen = version_in(path)
    assert seen in (OWN, None), "x86-64 only, and never another one"
    empty = tmp_path / "empty"
    empty.touch()
    assert version_in(str(empty)) is None
    assert version_in(str(tmp_path / "nowhere")) is None
    code = b"\xc7\x07%b\xc7\x06%b\xc7\x02%b"
    three = [number.to_bytes(4, "little") for number in (4, 3, 2)]
    plainly = b"\x48\x8b\x45\xf8\xc7\x00%b\x48\x8b\x45\xf0\xc7\x00%b\x48\x8b\x45\xe8\xc7\x00%b" % tuple(three)
    for octets, wanted in ((code % tuple(three), (4, 3, 2)), (plainly, (4, 3, 2))):
        (tmp_path / "code").write_bytes(b"\0" * 99 + octets + b"\0" * 99)
        assert version_in(str(tmp_path / "code")) == wanted
    (tmp_path / "code").write_bytes(code % tuple(three) + code % (*three[:2], b"\x05\0\0\0"))
    assert version_in(str(tmp_path / "code")) is None, "two numbers are none"


def test_a_library_that_was_replaced_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    (path,) = libraries([os.getpid()], "libzmq")
    wheel = Path(path).parent.name.endswith(".libs")  # what it needs lies beside it
    for file in Path(path).parent.glob("*.so*") if wheel else [Path(path)]:
        shutil.copy(file, tmp_path / file.name)
    copy = tmp_path / Path(path).name
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print('loaded', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(copy)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"loaded\n"
        (before,) = loaded([program.pid], ours=True)
        assert (before.path, before.version) == (str(copy), OWN)
        copy.unlink()
        shutil.copy(path, copy)
        (after,) = loaded([program.pid], ours=True)
        assert (after.path, after.version) == (str(copy), None)
        assert "replaced" in after.why
        program.communicate()


@pytest.mark.skipif(not shutil.which("gcc"), reason="no C compiler")
def test_a_library_that_is_linked_in_is_found(tmp_path: Path) -> None:
    source = tmp_path / "app.c"
    source.write_text(
        '#include <stdio.h>\nstatic const char *volatile zap = "inproc://zeromq.zap.01";\n'
        "__attribute__((noinline)) void zmq_version(int *a, int *b, int *c) { *a = 4; *b = 2; *c = 5; }\n"
        'int main(void) { int a, b, c; zmq_version(&a, &b, &c); printf("%d%s\\n", a + b + c, zap); '
        "fflush(stdout); return getchar(); }\n"
    )
    program = tmp_path / "app"
    subprocess.run(["gcc", "-O2", "-o", program, source], check=True, timeout=60)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert b"zap" in running.stdout.readline()
        (found,) = loaded([running.pid], ours=True)
        running.communicate(b"x")
    assert (found.path, found.part, found.features) == (str(program), True, None)
    assert found.version == (4, 2, 5) if os.uname().machine == "x86_64" else found.why


def test_a_distribution_mends_without_a_new_version(tmp_path: Path) -> None:
    path = "/usr/lib/x86_64-linux-gnu/libzmq.so.5.2.2"
    assert vendor(path, str(tmp_path)) == ("its distribution", frozenset())
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "usr/share/doc/libzmq5").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/info/libzmq5:amd64.list").write_text(f"/.\n{path}\n")
    (tmp_path / "var/lib/dpkg/info/cppzmq-dev:amd64.list").write_text("/.\n/usr/include/zmq.hpp\n")
    with gzip.open(tmp_path / "usr/share/doc/libzmq5/changelog.Debian.gz", "wt") as file:
        file.write("zeromq3 (4.3.2-2ubuntu1)\n  * SECURITY UPDATE: ... CVE-2020-15166, CVE-2021-20236\n")
    said = ("its package libzmq5", frozenset({"CVE-2020-15166", "CVE-2021-20236"}))
    assert vendor(path, str(tmp_path)) == said
    assert vendor("/nix/store/abc-zeromq-4.3.2/lib/libzmq.so.5", str(tmp_path))[0] == "its distribution"
    for elsewhere in ("/usr/local/lib/libzmq.so.5", "/opt/app/libzmq.so", "/usr/lib/python3/pyzmq.libs/libzmq-1.so"):
        assert vendor(elsewhere, str(tmp_path)) == ("", frozenset())
