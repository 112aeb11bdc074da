"""Items without a line of code: ``pytest --zmqfuzz`` makes one of each target in pyproject.toml and attack family.

Contract: imported only where ``--zmqfuzz`` was given. Items exist at collection, as ``pyproject.toml::NAME::FAMILY``,
so ``-k``, ``-m``, ``--lf``, IDs and pytest-xdist work on them as on any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zmqfuzz.declared import FILE, Declared, find, named, read, shown
from zmqfuzz.errors import UsageError
from zmqfuzz.items import FamilyAttack
from zmqfuzz.suite import SuiteTarget, declared_target

__all__ = ["AttackItem", "DeclaredFile", "DeclaredTarget", "add_declared", "the_target"]


class AttackItem(pytest.Item):
    """One attack family against one declared target."""

    def __init__(self, *, attack: FamilyAttack, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]  # pytest's own keywords
        self.attack = attack
        self.add_marker("zmqfuzz")

    def runtest(self) -> None:
        """Play it."""
        __tracebackhide__ = True
        self.attack.run()

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it was declared, and its name in a headline."""
        parent = self.parent.name if self.parent is not None else ""
        return self.path, None, f"{parent}[{self.name}]"


class DeclaredTarget(pytest.Collector):
    """A target, whose items are its families; what is wrong with it is its own error, and not that of others."""

    def __init__(self, *, declared: Declared, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.declared = declared

    def collect(self) -> Iterator[AttackItem]:
        """One item for each family."""
        target = declared_target(self.declared)
        try:
            attacks = target.attacks(self.declared.families, self.declared.exclude)
        except UsageError as error:
            raise self.declared.blamed("families", error) from None
        for attack in attacks:
            yield AttackItem.from_parent(self, name=attack.family, attack=attack)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> object:  # type: ignore[override]
        """A sentence, where the user can mend it."""
        return str(excinfo.value) if isinstance(excinfo.value, UsageError) else super().repr_failure(excinfo)


class DeclaredFile(pytest.File):
    """A pyproject.toml that declares targets."""

    def collect(self) -> Iterator[DeclaredTarget]:
        """One collector for each target."""
        for name, declared in read(self.path).items():
            yield DeclaredTarget.from_parent(self, name=name, declared=declared)


def add_declared(config: pytest.Config) -> Path:
    """Have the declared targets collected, beside what was asked for; the file. Raises pytest.UsageError."""
    try:
        file = find(config.rootpath)
        if file is None or not read(file):
            where = shown(file or config.rootpath / FILE)
            raise UsageError(f"--zmqfuzz: no target is declared; add [tool.zmqfuzz.targets.NAME] to {where}.")
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    given = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    # A folder above is walked and the file met; of two arguments that overlap, pytest 8 forgets what only one has.
    if not any(path in (file, *file.parents) for path in given):
        config.args.append(str(file))
    return file


def the_target(config: pytest.Config) -> SuiteTarget:
    """The one declared target, or that which the ini option ``zmqfuzz_target`` names. Raises UsageError."""
    name = config.getini("zmqfuzz_target")
    if name:
        return declared_target(named(name, config.rootpath))
    file = find(config.rootpath)
    targets = read(file) if file is not None else {}
    if len(targets) == 1:
        return declared_target(*targets.values())
    where = shown(file or config.rootpath / FILE)
    if not targets:
        raise UsageError(
            f"zmq_target: no target is declared in {where}; add [tool.zmqfuzz.targets.NAME], or a fixture zmq_target "
            "to conftest.py that returns zmqfuzz.target([...])."
        )
    raise UsageError(
        f"zmq_target: {where} declares {', '.join(targets)}; say which with the ini option zmqfuzz_target."
    )
