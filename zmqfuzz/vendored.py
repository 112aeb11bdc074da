"""What a Linux distribution has mended in a library without giving it another version. Offline; reads files only.

A distribution keeps the version of a release and adds remedies to it, so that the version alone says nothing of a
library of its own. Debian and its descendants name the CVE in the changelog of the package (Debian Policy 4.4, 12.7).
"""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

__all__ = ["vendor"]

_SYSTEM = ("/usr/lib", "/lib")
_STORES = ("/nix/store/", "/gnu/store/", "/snap/")
_LISTS, _DOCS = "var/lib/dpkg/info", "usr/share/doc"
_LARGEST = 4 << 20  # octets of a changelog; that of zeromq3 has 60 kB
_IDENTIFIER = re.compile(r"CVE-\d{4}-\d{4,7}")


def vendor(path: str, root: str = "/") -> tuple[str, frozenset[str]]:
    """The package of the library at ``path``, in words, and the CVEs that it says it mends; empty: of no distribution.

    Of none is a library in a wheel, under ``/usr/local`` or ``/opt``, or in a home. ``root`` is where the file system
    begins that ``path`` is in. What the package does not say it may have mended all the same. Never raises.
    """
    if path.startswith(_STORES):
        return "its distribution", frozenset()
    if not path.startswith(tuple(f"{folder}{tail}" for folder in _SYSTEM for tail in ("/", "32/", "64/", "x32/"))):
        return "", frozenset()
    if ".libs/" in path:
        return "", frozenset()  # a wheel that pip put among the system's packages
    lists = (Path(root) / _LISTS).glob("*zmq*.list")  # no error where there is none
    packages = [file.stem.partition(":")[0] for file in lists if _lists(file, path)]
    said = "\n".join([_changelog(root, package) for package in packages])
    named = f"its package {packages[0]}" if packages else "its distribution"
    return named, frozenset(_IDENTIFIER.findall(said))


def _lists(file: Path, path: str) -> bool:
    """Whether a package's list of files has the library; /lib may be a link to /usr/lib."""
    names = {path, path.removeprefix("/usr"), f"/usr{path}"}
    try:
        return any(line in names for line in file.read_text(errors="replace").splitlines())
    except OSError:
        return False


def _changelog(root: str, package: str) -> str:
    folder = os.path.join(root, _DOCS, package)
    for name in ("changelog.Debian.gz", "changelog.gz"):
        try:
            with gzip.open(os.path.join(folder, name), "rt", errors="replace") as file:
                return file.read(_LARGEST)
        except (OSError, EOFError):
            continue
    return ""
