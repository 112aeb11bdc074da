"""Old builds of libzmq out of old pyzmq wheels, and the public defects that are in them. Nothing runs here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import zmq

from zmqfuzz.targets.library import MECHANISMS, locate
from zmqfuzz.zmtp import SOCKET_TYPES

OWN = zmq.zmq_version()
SIDES = ("bind", "connect")


@dataclass(frozen=True)
class Wheel:
    """A pyzmq wheel that holds a libzmq: what to ask pip for."""

    pyzmq: str
    python: str
    abi: str
    platform: str = "manylinux1_x86_64"


WHEELS = {
    "4.1.5": Wheel("15.4.0", "35", "cp35m"),
    "4.1.6": Wheel("16.0.4", "36", "cp36m"),
    "4.2.5": Wheel("17.1.2", "37", "cp37m"),
    "4.3.1": Wheel("18.0.1", "37", "cp37m"),
    "4.3.2": Wheel("18.1.1", "37", "cp37m"),
    "4.3.3": Wheel("21.0.2", "37", "cp37m"),
    "4.3.4": Wheel("22.3.0", "37", "cp37m"),
}
"""libzmq version: a wheel that holds it. The installed pyzmq's own version is added."""


@dataclass(frozen=True)
class Case:
    """One library, socket type, side and mechanism; perhaps socket options, as ``HEARTBEAT_IVL=100,RCVHWM=1``."""

    version: str
    socket_type: str
    side: str
    mechanism: str
    options: str = ""

    def __str__(self) -> str:
        return ":".join(filter(None, (self.version, self.socket_type, self.side, self.mechanism, self.options)))

    @classmethod
    def of(cls, text: str) -> Case:
        """From ``VERSION:TYPE:SIDE:MECHANISM[:OPTIONS]``."""
        return cls(*text.split(":"))


@dataclass(frozen=True)
class Defect:
    """A public defect: ``case`` is a door that has it, ``codes`` what says so, ``clean`` a release without it there.

    ``fixed`` is the release that mended it; ``clean`` is later where others with the same code were mended later. Both
    are empty where none has. ``words``: in the signature, where the code alone does not tell it from another.
    ``quick``: in the short form.
    """

    name: str
    case: Case
    codes: tuple[str, ...]
    fixed: str
    clean: str
    words: str = ""
    quick: bool = False

    @property
    def doors(self) -> tuple[Case, ...]:
        """With the defect, and without it where there is a release without."""
        return (self.case, replace(self.case, version=self.clean)) if self.clean else (self.case,)


_CRASH = ("ZF101",)
_STARVES = ("ZF103",)
_STAYS = ("ZF204", "ZF209")
PUBLIC = (
    Defect("issue 2942", Case.of("4.1.6:XPUB:bind:null"), _CRASH, "4.2.4", "4.2.5", words="mtrie.cpp"),
    Defect("CVE-2019-6250", Case.of("4.2.5:PULL:bind:null"), _CRASH, "4.3.1", "4.3.3"),
    Defect("CVE-2019-6250", Case.of("4.2.5:SUB:connect:null"), _CRASH, "4.3.1", "4.3.3"),
    Defect("CVE-2019-13132", Case.of("4.1.6:PULL:bind:curve"), _CRASH, "4.3.2", "4.3.3", quick=True),
    Defect("CVE-2019-13132", Case.of("4.3.1:PULL:bind:curve"), _CRASH, "4.3.2", "4.3.3"),
    Defect("CVE-2020-15166", Case.of("4.3.2:PUSH:bind:null"), _STARVES, "4.3.3", "4.3.3", quick=True),
    Defect("CVE-2020-15166", Case.of("4.3.2:PUSH:bind:curve"), _STARVES, "4.3.3", "4.3.3"),
    Defect("CVE-2020-15166", Case.of("4.3.2:DEALER:bind:plain"), _STARVES, "4.3.3", "4.3.3"),
    Defect("CVE-2021-20234", Case.of("4.3.2:SUB:connect:null"), _STAYS, "4.3.3", "4.3.3", quick=True),
    Defect("CVE-2021-20234", Case.of("4.3.2:DEALER:connect:null"), _STAYS, "4.3.3", "4.3.3"),
    Defect("CVE-2021-20235", Case.of("4.3.2:PULL:bind:null"), _CRASH, "4.3.3", "4.3.3", quick=True),
    Defect("CVE-2021-20235", Case.of("4.3.2:SUB:connect:null"), _CRASH, "4.3.3", "4.3.3"),
    Defect("CVE-2021-20236", Case.of("4.3.2:XPUB:bind:null"), _CRASH, "4.3.3", "4.3.3", quick=True),
    Defect("CVE-2021-20237", Case.of("4.3.2:PUB:bind:null"), _STAYS, "4.3.3", "4.3.3", quick=True),
    Defect("issue 4106", Case.of("4.3.4:ROUTER:bind:null"), ("ZF317",), "4.3.5", "4.3.5", quick=True),
    Defect("issue 4841", Case.of("4.3.4:ROUTER:bind:null"), _CRASH, "", "", words="!_io_error"),
    Defect("issues 3731, 4503", Case.of("4.3.4:ROUTER:bind:null"), ("ZF208", "ZF209"), "", ""),
)
"""Identifiers, doors and codes of advisories and issues of zeromq/libzmq; nothing here says how they are met."""


def bring(version: str, cache: Path) -> Path:
    """The library or the wheel that holds ``version``, downloaded where it is not there. Raises RuntimeError."""
    if version == OWN:
        return locate(Path(zmq.__file__).parent.parent / "pyzmq.libs")
    wheel = WHEELS[version]
    folder = cache / version
    if not list(folder.glob("*.whl")):
        words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        words += ["--dest", str(folder), "--python-version", wheel.python, "--implementation", "cp"]
        words += ["--abi", wheel.abi, "--platform", wheel.platform, f"pyzmq=={wheel.pyzmq}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pyzmq {wheel.pyzmq} with libzmq {version} could not be brought:\n{done.stderr}")
    return next(folder.glob("*.whl"))


def cases(only: str, added: tuple[str, ...] = ()) -> list[Case]:
    """The matrix, or what ``only`` leaves of it, with versions ``added``. Raises SystemExit: a word means nothing."""
    versions = tuple(dict.fromkeys((*WHEELS, OWN, *added)))
    places = (versions, SOCKET_TYPES, SIDES, MECHANISMS)
    wanted = []
    for words in only.split():
        given = [*words.split(":"), "", "", "", "", ""][:5]
        for place, word in zip(places, given[:4], strict=True):
            if word and word not in place:
                sys.exit(f"--only: {word!r} is none of {', '.join(place)}")
        wanted.append(given)
    found = [
        Case(version, kind, side, mechanism)
        for version in versions
        for kind in SOCKET_TYPES
        for side in SIDES
        for mechanism in MECHANISMS
    ]
    if not wanted:
        return [case for case in found if case.mechanism == "null"]
    return [
        replace(case, options=given[4])
        for case in found
        for given in wanted
        if all(word in ("", value) for word, value in zip(given[:4], str(case).split(":"), strict=True))
        and (given[3] or case.mechanism == "null")
    ]
