"""The pytest plugin: hooks and fixtures, the words ``INCONCLUSIVE`` and ``KNOWN``, one failure text for each item.

Contract: it is loaded in every pytest session of its environment, so it imports nothing heavy, patches nothing, and
says nothing where no item of zmqfuzz runs. What holds for an item is decided in :mod:`zmqfuzz.pytest_settings`, what it
amounts to in :mod:`zmqfuzz.verdicts`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zmqfuzz import __version__
from zmqfuzz.errors import Inconclusive
from zmqfuzz.expected import Expected
from zmqfuzz.pytest_options import add_options, chosen
from zmqfuzz.pytest_settings import (
    SEED_OF_WORKER,
    Settings,
    attack_of,
    expectations,
    for_item,
    ours,
    seed_of,
)
from zmqfuzz.pytest_summary import Promised, summary, word_of
from zmqfuzz.verdicts import HERE, AttackFailed, Result, Session, judged, lines_printable

if TYPE_CHECKING:
    from zmqfuzz.audited import Audited
    from zmqfuzz.proxy import Proxy
    from zmqfuzz.pytest_notes import RunNotes
    from zmqfuzz.suite import SuiteTarget

_SETTINGS = pytest.StashKey[Settings]()
_DECLARED = pytest.StashKey[Path]()
_KNOWN = pytest.StashKey[Mapping[int, Expected]]()
_RESULT = pytest.StashKey[Result]()
_PROMISED = pytest.StashKey[Promised]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and ini options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Marks; and where an option of ours was given, what holds for all items.

    Raises pytest.UsageError: what is set cannot be read, or ``--zmqfuzz`` finds no declared target.
    """
    for line in (
        "zmqfuzz(budget=, profile=, isolation=, fail_on=, seed=): an item that plays attacks, and what holds for it",
        "zmqfuzz_known(code, reason=, until=, match=, families=, strict=): a finding that is expected until a day",
    ):
        config.addinivalue_line("markers", line)
    promised = config.stash[_PROMISED] = Promised(lambda: _settings(config).session.inconclusive)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(promised, "zmqfuzz-promised")
    if chosen(config):
        _settings(config)
    if config.getoption("zmqfuzz_declared"):
        from zmqfuzz.pytest_declared import add_declared

        config.stash[_DECLARED] = add_declared(config)


def _settings(config: pytest.Config) -> Settings:
    if _SETTINGS not in config.stash:
        config.stash[_SETTINGS] = Settings.of(config)
    return config.stash[_SETTINGS]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """With ``--zmqfuzz``: the file that declares targets, wherever it is met."""
    declared = parent.config.stash.get(_DECLARED, None)
    if declared is None or file_path.name != declared.name or file_path.resolve() != declared:
        return None
    from zmqfuzz.pytest_declared import DeclaredFile

    return DeclaredFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks for items that play on ``zmq_target``; what is expected; ``--zmqfuzz-only`` and ``--zmqfuzz-skip``.

    Raises pytest.UsageError: a mark is wrong.
    """
    for item in items:
        if "zmq_target" in getattr(item, "fixturenames", ()) and item.get_closest_marker("zmqfuzz") is None:
            item.add_marker("zmqfuzz")
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    config.stash[_KNOWN] = expectations(items, whole=workers == 1)
    only, skip = config.getoption("zmqfuzz_only"), config.getoption("zmqfuzz_skip")
    if only or skip:
        kept = [item for item in items if (ours(item) or not only) and not (ours(item) and skip)]
        there = set(kept)
        config.hook.pytest_deselected(items=[item for item in items if item not in there])
        items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is set is read now, where an item of ours is left. Raises pytest.UsageError."""
    items = [item for item in session.items if ours(item)]
    if items and _KNOWN in session.config.stash:  # else a mark was wrong already
        settings, workers = _settings(session.config), getattr(session.config, "workerinput", {}).get("workercount", 1)
        settings.items = -(-len(items) // workers)
        for item in items:
            for_item(settings, item, session.config.stash[_KNOWN])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: give a worker the seed of the session."""
    node.workerinput[SEED_OF_WORKER] = seed_of(node.config)


def _header(config: pytest.Config) -> str:
    import zmq

    settings = _settings(config)
    return (
        f"zmqfuzz {__version__}: libzmq {zmq.zmq_version()}, profile {settings.profile}"
        f" ({settings.session.seconds:g}s an item), seed {settings.session.seed}"
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Our line, where an option of ours was given."""
    return _header(config) if chosen(config) else None


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str | None:
    """Our line, where an item of ours was collected: only now is that known."""
    return None if chosen(config) or not any(map(ours, items)) else _header(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Decide what holds for the item, and tell its attack; of any other item only if it plays on a target."""

    def decided() -> tuple[Session, str]:
        return for_item(_settings(item.config), item, item.config.stash[_KNOWN]), _nodeid_for_shell(item)

    HERE.begin(decided)
    if "zmqfuzz.strategies.public" in sys.modules and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        sys.modules["zmqfuzz.strategies.public"].warm_up()
    attack = attack_of(item)
    if attack is not None:
        attack.begin(HERE.session, HERE.nodeid, "" if hasattr(item, "callspec") else "--zmqfuzz")


def _nodeid_for_shell(item: pytest.Item) -> str:
    """The item's ID as it must be typed where the user is, which need not be rootdir."""
    path, mark, rest = item.nodeid.partition("::")
    return os.path.relpath(item.config.rootpath / path, item.config.invocation_params.dir) + mark + rest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge what a test played itself; warn where one passes without having attacked anything."""
    __tracebackhide__ = True
    began, attack = time.monotonic(), attack_of(item)
    try:
        value = yield
    except Exception as error:
        if attack is None:
            _ended(item, error)
        raise
    finally:
        if ours(item):
            _settings(item.config).spent(time.monotonic() - began)
    if attack is None:
        _ended(item, None)
    elif attack.result is None:
        item.warn(pytest.PytestWarning(f"{item.name} never called attack.run(): nothing was tested"))
    return value


def _ended(item: pytest.Item, error: Exception | None) -> None:
    """A test that plays itself has ended; raises what it amounts to, where that is not simply ``error``."""
    __tracebackhide__ = True
    if error is not None and "zmqfuzz.pytest_proxies" in sys.modules:
        from zmqfuzz.pytest_proxies import show_what_passed

        show_what_passed(item)
    if isinstance(error, Inconclusive):
        unclear = judged(HERE.session, HERE.nodeid, "", [], {}, doubts=[lines_printable(str(error))])
        item.stash[_RESULT] = unclear.result
        unclear.act()
    if HERE.result is not None:
        item.stash[_RESULT] = HERE.result
        return
    if "zmqfuzz.live" not in sys.modules or not HERE.cases:
        return
    from zmqfuzz.live import ending_of

    ending = ending_of(error)
    if ending is not None:
        item.stash[_RESULT] = ending.result
        ending.act()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replace pytest's traceback by our text, and note the result where the last line finds it."""
    report = yield
    attack = attack_of(item)
    result = attack.result if attack is not None else item.stash.get(_RESULT, None)
    if result is not None and report.when == "call":
        # Its own attribute, because pytest-xdist carries those that JSON can hold to the main process.
        report.zmqfuzz = asdict(result)  # type: ignore[attr-defined]
        item.user_properties += [(f"zmqfuzz:{name}", f"{most:g}") for name, (_, most, _) in result.metrics.items()]
        if report.skipped and result.reason and not hasattr(report, "wasxfail"):
            path, line, _ = item.location
            report.longrepr = (path, (line or 0) + 1, f"Skipped: {result.reason}")
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
    """What could not be tested, and what is known, have words of their own."""
    return word_of(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, object, object]:
    """After everything else: what was inconclusive or known, and one line that says how it went."""
    value = yield
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    config = terminalreporter.config
    for line in summary(reports, lambda: seed_of(config), config.stash[_PROMISED].untested()):
        terminalreporter.write_line(line)
    return value


def pytest_unconfigure() -> None:
    """Stop the targets that tests played on themselves."""
    live = sys.modules.get("zmqfuzz.live")
    if live is not None:
        live.close_all()


@pytest.fixture(scope="session")
def zmq_target(pytestconfig: pytest.Config) -> SuiteTarget:
    """A target to play attacks on: the one that pyproject.toml declares, or that the ini option zmqfuzz_target names.

    Define a fixture of this name and scope in conftest.py for another one, such as ``zmqfuzz.target(...)``.
    """
    from zmqfuzz.errors import UsageError
    from zmqfuzz.pytest_declared import the_target

    try:
        return the_target(pytestconfig)
    except UsageError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def zmq_audit(zmq_target: SuiteTarget) -> Audited:
    """The sockets that ``zmq_target`` opens, each with its options and line, and what is wrong with them (findings).

    It is started once for that, when a test asks.
    """
    return zmq_target.audit()


@pytest.fixture
def zmq_proxy(request: pytest.FixtureRequest) -> Generator[Callable[..., Proxy], None, None]:
    """A factory of fault proxies: ``zmq_proxy(endpoint)`` stands in front of the server that is bound there.

    All of them are healed and closed when the test is over; a test that fails shows what passed.
    """
    from zmqfuzz.pytest_proxies import proxies

    with proxies(request.node) as make:
        yield make


@pytest.fixture(scope="session")
def zmqfuzz_run(pytestconfig: pytest.Config) -> RunNotes:
    """The session: where findings are kept, its seed; ``note(text)`` and ``attach(name, octets)`` keep what you add."""
    from zmqfuzz.pytest_notes import RunNotes

    session = _settings(pytestconfig).session
    worker = getattr(pytestconfig, "workerinput", {}).get("workerid", "")
    return RunNotes(session.store, session.seed, worker)
