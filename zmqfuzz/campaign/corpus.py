"""The store of findings: one folder each under ``.zmqfuzz/findings/``, written so that a crash leaves no half a file.

``finding.json`` is the finding; it is written last, and a folder without it is no finding. The ``.zft`` files and
``transcript.txt`` beside it are readable copies: give the path of a ``.zft`` file, edited or not, to play what that
file says. Whatever cannot be read or written is a :class:`~zmqfuzz.errors.UsageError` that says what to do.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zmqfuzz.campaign.capture import CAPTURE, write_capture
from zmqfuzz.campaign.decode import decode_attack
from zmqfuzz.campaign.plain import (
    attack_from_lines,
    attack_to_lines,
    finding_from_json,
    finding_to_json,
    surface_from_plain,
    surface_to_plain,
)
from zmqfuzz.campaign.repro import repro_script
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Severity
from zmqfuzz.script import Attack
from zmqfuzz.trial import Trial

__all__ = ["FINDING", "Corpus", "contents"]

FINDING = "finding.json"

_FILES = re.compile(r"(history/[0-9]{3,}|[a-z]+)\.(zft|txt|log|py|json)")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A finding's ID names its folder, so it holds nothing that could lead out of it."""

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EACCES: "no permission; change its owner or mode, or run in a folder of your own",
    errno.EPERM: "no permission; change its owner or mode, or run in a folder of your own",
    errno.EROFS: "the file system is read-only; run in a folder that can be written",
    errno.ENOENT: "it does not exist; check the path",
    errno.ENOTDIR: "something on the way is no folder; move it away",
    errno.EISDIR: "it is a folder where a file belongs; move it away",
    errno.ELOOP: "its symbolic links go in a circle; remove them",
}


class Corpus:
    """The findings kept under ``root``, which is the ``.zmqfuzz`` folder itself; it is made on the first save."""

    def __init__(self, root: Path = Path(".zmqfuzz")) -> None:
        self._root = root

    @property
    def findings(self) -> Path:
        """The folder that holds a folder for each finding."""
        return self._root / "findings"

    def ids(self) -> tuple[str, ...]:
        """The findings there are, sorted. Raises UsageError when the folder cannot be read."""
        with _explained("read", self.findings):
            try:
                names = os.listdir(self.findings)
            except FileNotFoundError:
                return ()
            return tuple(sorted(name for name in names if _ID.fullmatch(name) and self._file(name).is_file()))

    def save_reach(self, plain: Mapping[str, Any]) -> Path:
        """Write the reach map of the last run, JSON-able, as ``reach.json``; the file. Raises UsageError."""
        file = self._root / "reach.json"
        with _explained("write", file):
            self._root.mkdir(parents=True, exist_ok=True)
            self._ignored()
            _write(file, json.dumps(plain, indent=1) + "\n")
        return file

    def _ignored(self) -> None:
        """Git leaves the folder alone."""
        ignore = self._root / ".gitignore"
        if not ignore.exists():
            _write(ignore, "*\n")

    def save(self, finding: Finding, spec: Mapping[str, Any], observed: Trial | None = None) -> Path:
        """Write or replace a finding's folder and return it.

        ``spec`` is JSON-able and comes back from :meth:`load` as it is. ``observed`` is a trial that showed the
        finding: what the target answered goes into ``transcript.txt`` and ``session.pcapng``. Raises UsageError.
        """
        folder = self.put(finding.id, contents(finding, spec, observed))
        if observed is not None and observed.transcripts:
            with _explained("write", folder):
                write_capture(observed, folder / CAPTURE)
        return folder

    def put(self, id: str, files: Mapping[str, str]) -> Path:
        """Write or replace a finding's folder from its :func:`contents`, and return it. Raises UsageError."""
        folder = self._folder(id)
        if unknown := [name for name in files if not _FILES.fullmatch(name)]:
            raise UsageError(f"{unknown[0]!a} is no file of a finding; leave it out.")
        with _explained("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._ignored()
            if any(name.startswith("history/") for name in files):
                (folder / "history").mkdir(exist_ok=True)
            for name, text in files.items():
                if name != FINDING:
                    _write(folder / name, text)
            for old in (folder / "history").glob("[0-9]*.zft"):
                if f"history/{old.name}" not in files:
                    old.unlink()
            _write(self._file(id), files[FINDING])
        return folder

    def files(self, id: str) -> dict[str, str]:
        """The files of a finding, as :meth:`put` takes them; others in its folder are left out. Raises UsageError."""
        folder = self._folder(id)
        with _explained("read", folder):
            paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        return {name: _read(path) for name, path in sorted(paths.items()) if _FILES.fullmatch(name)}

    def load(self, id_or_path: str | Path) -> tuple[Finding, dict[str, Any]]:
        """A finding and its spec, from an ID, the unique beginning of one, a folder, or a ``.zft`` file.

        A ``.zft`` file inside a finding's folder gives that finding with the file's attack; one that stands alone
        gives a finding made from its header, and an empty spec. Raises UsageError.
        """
        text = str(id_or_path)
        matches = [name for name in self.ids() if name.casefold().startswith(text.casefold())] if text else []
        exact = [name for name in matches if name.casefold() == text.casefold()]
        if len(exact or matches) == 1:
            return _load_folder(self.findings / (exact or matches)[0])
        if len(matches) > 1:
            raise UsageError(f"{text!r} is the beginning of {', '.join(matches)}; write more of the one you mean.")
        path = Path(text)
        if text and (path.exists() or os.sep in text or path.suffix in (".zft", ".json")):
            if path.suffix == ".zft":
                return _load_zft(path)
            return _load_folder(path.parent if path.name == "finding.json" else path)
        raise self._unknown(text)

    def delete(self, id: str) -> None:
        """Remove a finding and its whole folder; ``id`` must be exact. Raises UsageError."""
        folder = self._folder(id)
        if id not in self.ids():
            raise self._unknown(id)
        with _explained("delete", folder):
            # Without finding.json it is no finding any more, even when the rest cannot be removed.
            self._file(id).unlink()
            shutil.rmtree(folder)

    def _folder(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise UsageError(f"{id!a} cannot name a finding; an ID looks like ZF203-7q2k.")
        return self.findings / id

    def _file(self, id: str) -> Path:
        return self.findings / id / FINDING

    def _unknown(self, text: str) -> UsageError:
        ids = self.ids()
        if not ids:
            return UsageError(f"There is no finding {text!a}: {self.findings} has none yet; run zmqfuzz run first.")
        near = difflib.get_close_matches(text, ids, 1)
        hint = f"; did you mean {near[0]}?" if near else "."
        listed = ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
        return UsageError(f"There is no finding {text!a} in {self.findings}{hint} There are: {listed}.")


def contents(finding: Finding, spec: Mapping[str, Any], observed: Trial | None) -> dict[str, str]:
    """Every file of a finding, by its path in the folder; arguments as of :meth:`Corpus.save`."""

    def zft(attack: Attack) -> str:
        return "\n".join(attack_to_lines(attack, _header(finding))) + "\n"

    log = observed.observation.log_tail if observed is not None else ""
    return {
        "transcript.zft": zft(finding.attack),
        "original.zft": zft(finding.original),
        "transcript.txt": "\n".join(decode_attack(finding.attack, observed)) + "\n",
        "target.log": log or finding.log_tail,
        "repro.py": repro_script(finding, finding.attack),
        "command.json": json.dumps(dict(spec), indent=1) + "\n",
        FINDING: finding_to_json(finding),
        **{f"history/{number:03}.zft": zft(attack) for number, attack in enumerate(finding.history, 1)},
    }


def _header(finding: Finding) -> dict[str, Any]:
    """What a .zft file that left its folder still says about its finding."""
    return {
        "surface": surface_to_plain(finding.surface),
        "target": finding.target,
        "finding": finding.id,
        "code": finding.code,
        "title": finding.title,
        "severity": finding.severity.value,
        "signature": finding.signature,
    }


def _load_folder(folder: Path) -> tuple[Finding, dict[str, Any]]:
    path = folder / "finding.json"
    finding = finding_from_json(_read(path), source=str(path))
    if not _ID.fullmatch(finding.id):
        raise UsageError(f"{path}: its ID {finding.id!a} cannot name a finding; correct it, such as ZF203-7q2k.")
    return finding, _load_spec(folder / "command.json")


def _load_spec(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}  # a finding that was copied without its target: the caller says what to run it against
    try:
        spec = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error}), or cut short; restore it, or delete it.") from None
    if not isinstance(spec, dict):
        raise UsageError(f"{path}: not an object {{...}}; restore it, or delete it.")
    return spec


def _load_zft(path: Path) -> tuple[Finding, dict[str, Any]]:
    attack, header = attack_from_lines(_read(path).split("\n"), source=str(path))
    for folder in (path.parent, path.parent.parent):
        if (folder / "finding.json").is_file():
            finding, spec = _load_folder(folder)
            return dataclasses.replace(finding, attack=attack), spec
    texts = {key: str(header.get(key, "")) for key in ("finding", "code", "title", "target", "signature")}
    name = texts["finding"] or path.stem
    severity = str(header.get("severity", Severity.HIGH.value))
    if not _ID.fullmatch(name) or severity not in list(Severity):
        raise UsageError(f"{path}:1: {name!a}, {severity!a} are no finding's ID and severity; correct the first line.")
    finding = Finding(
        id=name,
        code=texts["code"] or name.partition("-")[0],
        title=texts["title"] or "An attack from a file",
        severity=Severity(severity),
        sentence=f"Read from {path.name}.",
        signature=texts["signature"],
        measures=(),
        surface=surface_from_plain(header.get("surface", {"address": ""}), source=f"{path}:1"),
        attack=attack,
        original=attack,
        target=texts["target"],
        confirmed=0,
        tried=0,
    )
    return finding, {}


def _read(path: Path) -> str:
    with _explained("read", path):
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"{path}: not UTF-8 text, so damaged; restore it from a copy, or delete it.") from None


def _write(path: Path, text: str) -> None:
    """Write beside ``path``, then rename: a reader sees the old file or the whole new one."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp makes it 0600, which the user of a CI artefact could not read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    """Turn an OSError into a sentence with what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}; check the path and its file system")
        raise UsageError(f"Cannot {verb} {error.filename or path}: {remedy}.") from error
