"""The pytest plugin: options, the ``INCONCLUSIVE`` word, one failure text for each item, the last line.

Contract: it is loaded in every pytest session of its environment, so it imports nothing heavy, patches nothing, and
says nothing where no item of zmqfuzz runs.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import pytest

from zmqfuzz import __version__
from zmqfuzz.errors import UsageError
from zmqfuzz.items import AttackFailed, FamilyAttack, Session
from zmqfuzz.quantities import parse_duration

T = TypeVar("T")

PROFILES = {"quick": 5.0, "ci": 30.0, "deep": 300.0}
"""Seconds an item has."""

_SESSION = pytest.StashKey[Session]()
_PROFILE = pytest.StashKey[str]()
_DECLARED = pytest.StashKey[Path]()
_SEED_OF_WORKER = "zmqfuzz_seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; all have a default that depends on the profile or the environment."""
    group = parser.getgroup("zmqfuzz", "fuzzing of live ZeroMQ programs (zmqfuzz)")
    group.addoption(
        "--zmqfuzz",
        dest="zmqfuzz_declared",
        action="store_true",
        default=None,
        help="also attack every target declared in pyproject.toml ([tool.zmqfuzz.targets.NAME])",
    )
    group.addoption(
        "--zmqfuzz-profile",
        choices=tuple(PROFILES),
        help="quick (5s an item), ci (30s) or deep (5min); default: ci where the variable CI is set, else quick",
    )
    group.addoption(
        "--zmqfuzz-budget",
        metavar="TIME",
        type=_argument(parse_duration),
        help="wall time of one item, such as 30s; default: from the profile",
    )
    group.addoption(
        "--zmqfuzz-seed",
        metavar="N",
        type=int,
        help="repeat a session's choices; default: the variable ZMQFUZZ_SEED, else random and printed",
    )
    group.addoption(
        "--zmqfuzz-inconclusive",
        choices=("fail", "warn", "pass"),
        help="what becomes of an item that could not be tested; default: warn, in profile ci fail",
    )
    group.addoption(
        "--zmqfuzz-store",
        metavar="DIR",
        help="where findings are kept; default: .zmqfuzz in rootdir",
    )


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    def parsed(text: str) -> T:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def pytest_configure(config: pytest.Config) -> None:
    """Decide once what holds for all items.

    Raises pytest.UsageError: ZMQFUZZ_SEED is no number, or ``--zmqfuzz`` finds no declared target.
    """
    config.addinivalue_line("markers", "zmqfuzz: an item made by @target.parametrize() or --zmqfuzz of zmqfuzz")
    profile = config.getoption("zmqfuzz_profile") or ("ci" if os.environ.get("CI") else "quick")
    budget = config.getoption("zmqfuzz_budget")
    inconclusive = config.getoption("zmqfuzz_inconclusive") or ("fail" if profile == "ci" else "warn")
    store = config.getoption("zmqfuzz_store")
    config.stash[_PROFILE] = profile
    config.stash[_SESSION] = Session(
        seconds=PROFILES[profile] if budget is None else budget,
        seed=_seed(config),
        inconclusive=cast(Literal["fail", "warn", "pass"], inconclusive),
        folder=config.rootpath,
        shell=config.invocation_params.dir,
        store=config.rootpath / ".zmqfuzz" if store is None else config.invocation_params.dir / store,
    )
    if config.getoption("zmqfuzz_declared"):
        from zmqfuzz.pytest_declared import add_declared

        config.stash[_DECLARED] = add_declared(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """With ``--zmqfuzz``: the file that declares targets, wherever it is met."""
    declared = parent.config.stash.get(_DECLARED, None)
    if declared is None or file_path.name != declared.name or file_path.resolve() != declared:
        return None
    from zmqfuzz.pytest_declared import DeclaredFile

    return DeclaredFile.from_parent(parent, path=file_path)


def _seed(config: pytest.Config) -> int:
    worker: Mapping[str, int] = getattr(config, "workerinput", {})  # pytest-xdist: all workers use one seed
    if _SEED_OF_WORKER in worker:
        return worker[_SEED_OF_WORKER]
    chosen = config.getoption("zmqfuzz_seed")
    if chosen is not None:
        return int(chosen)
    text = os.environ.get("ZMQFUZZ_SEED", "").strip()
    if not text:
        return random.SystemRandom().getrandbits(31)  # the shared generator is others' to seed (pytest-randomly)
    try:
        return int(text)
    except ValueError:
        raise pytest.UsageError(f"The variable ZMQFUZZ_SEED is {text!r}; set it to a whole number.") from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: give a worker the seed of the session."""
    node.workerinput[_SEED_OF_WORKER] = node.config.stash[_SESSION].seed


def _chosen(config: pytest.Config) -> bool:
    """Whether the user gave any of our options."""
    names = ("declared", "profile", "budget", "seed", "inconclusive", "store")
    return any(config.getoption(f"zmqfuzz_{name}") is not None for name in names) or bool(os.getenv("ZMQFUZZ_SEED"))


def _header(config: pytest.Config) -> str:
    import zmq

    session = config.stash[_SESSION]
    return (
        f"zmqfuzz {__version__}: libzmq {zmq.zmq_version()}, profile {config.stash[_PROFILE]}"
        f" ({session.seconds:g}s an item), seed {session.seed}"
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Our line, where an option of ours was given."""
    return _header(config) if _chosen(config) else None


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str | None:
    """Our line, where an item of ours was collected: only now is that known."""
    return None if _chosen(config) or not any(map(_attack_of, items)) else _header(config)


def _attack_of(item: pytest.Item) -> FamilyAttack | None:
    own = getattr(item, "attack", None)
    if isinstance(own, FamilyAttack):
        return own
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec is not None else ()
    return next((value for value in values if isinstance(value, FamilyAttack)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell the item's attack which session and item it belongs to."""
    attack = _attack_of(item)
    if attack is not None:
        option = "" if hasattr(item, "callspec") else "--zmqfuzz"
        attack.begin(item.config.stash[_SESSION], _nodeid_for_shell(item), option)


def _nodeid_for_shell(item: pytest.Item) -> str:
    """The item's ID as it must be typed where the user is, which need not be rootdir."""
    path, mark, rest = item.nodeid.partition("::")
    return os.path.relpath(item.config.rootpath / path, item.config.invocation_params.dir) + mark + rest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Warn where a test passes without having attacked anything."""
    value = yield
    attack = _attack_of(item)
    if attack is not None and attack.result is None:
        item.warn(pytest.PytestWarning(f"{item.name} never called attack.run(): nothing was tested"))
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replace pytest's traceback by our text, and note the result where the last line finds it."""
    report = yield
    attack = _attack_of(item)
    if attack is not None and attack.result is not None and report.when == "call":
        # Its own attribute, because pytest-xdist carries those that JSON can hold to the main process.
        report.zmqfuzz = asdict(attack.result)  # type: ignore[attr-defined]
        if report.skipped and attack.result.reason and not hasattr(report, "wasxfail"):
            path, line, _ = item.location
            report.longrepr = (path, (line or 0) + 1, f"Skipped: {attack.result.reason}")
    if call.excinfo is not None and isinstance(call.excinfo.value, AttackFailed) and report.failed:
        report.longrepr = _shown(call.excinfo, call.excinfo.value)
    return report


def _shown(excinfo: pytest.ExceptionInfo[BaseException], failed: AttackFailed) -> Any:
    """A failure representation whose text is ours; still of the kind that pytest-xdist and JUnit can carry."""
    shown = excinfo.getrepr(style="native")
    entries, crash = getattr(shown.reprtraceback, "reprentries", []), shown.reprcrash
    if len(entries) != 1 or crash is None:
        return str(failed)
    entries[0].lines = [str(failed)]
    crash.message = failed.summary
    return shown


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """An item that could not be tested has its own word; to every other tool it is a skip."""
    if report.skipped and _plain(report).get("verdict") == "inconclusive" and not hasattr(report, "wasxfail"):
        return "inconclusive", "I", "INCONCLUSIVE"
    return None


def _plain(report: object) -> dict[str, Any]:
    plain = getattr(report, "zmqfuzz", None)
    return plain if isinstance(plain, dict) else {}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, object, object]:
    """After everything else: what was inconclusive, and one line that says how it went."""
    value = yield
    ours = [report for reports in terminalreporter.stats.values() for report in reports if _plain(report)]
    if ours:
        for report in terminalreporter.stats.get("inconclusive", []):
            terminalreporter.write_line(f"INCONCLUSIVE {report.nodeid} - {_plain(report)['reason']}")
        plains = [_plain(report) for report in ours]
        terminalreporter.write_line(_last_line(plains, terminalreporter.config.stash[_SESSION].seed))
    return value


def _last_line(plains: list[dict[str, Any]], seed: int) -> str:
    verdicts = [plain["verdict"] for plain in plains]
    found = len({name for plain in plains for name in plain["findings"]})
    parts = [f"{verdicts.count('held')} held", f"{found} finding{'' if found == 1 else 's'}"]
    parts.append(f"{verdicts.count('inconclusive')} inconclusive")
    if "error" in verdicts:
        parts.append(f"{verdicts.count('error')} could not run")
    cases = sum(plain["cases"] for plain in plains)
    return f"zmqfuzz: {', '.join(parts)}; {cases:,} cases; seed {seed}"
