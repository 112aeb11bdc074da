"""What is set where, which of it wins, and what is chosen to run: by pytest runs that attack nothing."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable

import pytest

from zmqfuzz.pytest_settings import Settings
from zmqfuzz.verdicts import Session

Run = Callable[..., pytest.RunResult]

SUITE = """
import pytest, zmqfuzz

target = zmqfuzz.target(["no-such-program"])

@target.parametrize(families="flood")
def test_family(attack, request):
    print("decided:", attack._session.seconds, attack._session.fail_on, attack._session.inconclusive,
          attack._session.seed, attack._session.isolation)

@pytest.mark.zmqfuzz(budget="7s")
class TestMarked:
    @pytest.mark.zmqfuzz(fail_on="critical", seed=12, isolation="case")
    @target.parametrize(families="flood")
    def test_marked(self, attack):
        test_family(attack, None)

def test_other(): pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Writes a project and runs its suite in this process, without what is set for the suite around it."""
    for name in [name for name in os.environ if name.startswith(("CI", "ZMQFUZZ_"))]:
        monkeypatch.delenv(name)

    def runs(*options: str, ini: str = "", toml: str = "", suite: str = SUITE) -> pytest.RunResult:
        pytester.makepyfile(test_it=suite)
        (pytester.path / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
        (pytester.path / "pyproject.toml").write_text(f"[tool.zmqfuzz]\n{toml}\n")
        return pytester.runpytest_inprocess("-s", "-p", "no:randomly", "-p", "no:cacheprovider", *options)

    return runs


def test_the_nearest_wins(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = 'budget = "1s"\nfail-on = "info"\ninconclusive = "pass"'

    def decided(*options: str) -> list[str]:
        done = run("--zmqfuzz-seed=1", *options, ini="zmqfuzz_budget = 2s", toml=toml)
        assert done.ret == 0
        return re.findall(r"decided: (.*)", done.stdout.str())

    assert decided() == ["2.0 info pass 1 test", "7.0 critical pass 12 case"]
    assert decided("--zmqfuzz-fail-on=high", "--zmqfuzz-session-budget=3s") == [
        "1.5 high pass 1 test",
        "7.0 critical pass 12 case",
    ]
    monkeypatch.setenv("ZMQFUZZ_BUDGET", "3s")
    monkeypatch.setenv("ZMQFUZZ_INCONCLUSIVE", "fail")
    assert decided()[0] == "3.0 info fail 1 test"
    assert decided("--zmqfuzz-budget=4s")[0] == "4.0 info fail 1 test"


BASELINE = """
[[accepted]]
id = "ZF203-abcd"
code = "ZF203"
reason = "issue 7"
until = 2999-12-31
"""


def test_the_baseline_is_that_of_every_run(run: Run, pytester: pytest.Pytester) -> None:
    suite = SUITE.replace("decided:", "accepted:").replace("attack._session.seconds", "attack._session.accepted", 1)
    soon = (datetime.date.today() + datetime.timedelta(days=9)).isoformat()
    (pytester.path / "known.toml").write_text(BASELINE.replace("2999-12-31", soon))
    for options, ini, toml in (
        (("--zmqfuzz-baseline=known.toml",), "", ""),
        ((), "zmqfuzz_baseline = known.toml", ""),
        ((), "", 'baseline = "known.toml"'),
    ):
        said = run(*options, "-k", "test_family", ini=ini, toml=toml, suite=suite).stdout.str()
        assert re.search(r"accepted: \(Expected\(code='ZF203-abcd', reason='issue 7'", said), said
    assert "accepted: ()" in run("-k", "test_family", toml='baseline = "not-yet.toml"', suite=suite).stdout.str()
    missing = run("--zmqfuzz-baseline=not-there.toml")
    assert missing.ret == pytest.ExitCode.USAGE_ERROR
    assert re.search("There is no baseline .*not-there.toml; .*or correct --zmqfuzz-baseline", missing.stderr.str())
    (pytester.path / "known.toml").write_text(BASELINE)
    assert "until = 2999-12-31 is more than a year from now" in run("--zmqfuzz-baseline=known.toml").stderr.str()


@pytest.mark.parametrize(
    ("ini", "toml", "mark", "said"),
    [
        ("zmqfuzz_budget = soon", "", "", "The ini option zmqfuzz_budget: 'soon' is not a duration"),
        ("", 'profile = "quik"', "", r"pyproject\.toml: tool\.zmqfuzz\.profile: 'quik' is not one of quick, ci, deep"),
        ("", 'profil = "quick"', "", r"tool\.zmqfuzz\.profil: there is no such key; did you mean 'profile'"),
        ("", "", "zmqfuzz(budjet='1s')", r"test_family\[flood\]: the mark zmqfuzz has no option 'budjet'"),
        ("", "", "zmqfuzz(isolation='item')", "the mark zmqfuzz: isolation: 'item' is not one of case, test, session"),
        ("", "", "zmqfuzz_known('ZF203', reason='x')", r"test_family\[flood\]: zmqfuzz_known\('ZF203'\) needs until="),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Run, ini: str, toml: str, mark: str, said: str) -> None:
    suite = SUITE.replace("@target", f"@pytest.mark.{mark}\n@target", 1) if mark else SUITE
    done = run(ini=ini, toml=toml, suite=suite)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert re.search(said, done.stderr.str())
    assert "Traceback" not in done.stdout.str() + done.stderr.str()


def test_what_is_wrong_is_not_read_where_nothing_of_ours_runs(run: Run) -> None:
    assert run("-k", "other", ini="zmqfuzz_budget = soon", toml='profil = "quick"').ret == 0


def test_only_ours_or_only_the_others(run: Run) -> None:
    suite = SUITE + "\ndef test_own(zmq_target): pass\n"
    only = run("--collect-only", "-q", "--zmqfuzz-only", suite=suite).stdout.str()
    assert re.findall(r"^test_it\S+", only, re.MULTILINE) == [
        "test_it.py::test_family[flood]",
        "test_it.py::TestMarked::test_marked[flood]",
        "test_it.py::test_own",
    ]
    assert "1 deselected" in only
    skip = run("--zmqfuzz-skip", suite=suite).stdout.str()
    assert "1 passed, 3 deselected" in skip
    assert "zmqfuzz 0" not in skip
    assert "zmqfuzz: " not in skip
    own = run("-k", "own", "-rE", suite=suite).stdout.str()
    assert "zmq_target: no target is declared in pyproject.toml; add [tool.zmqfuzz.targets.NAME]" in own


def test_a_session_s_budget_is_shared_by_what_is_left() -> None:
    settings = Settings(Session(seconds=5.0), "quick", left=12.0, items=4)
    assert settings.share() == 3.0
    settings.spent(0.0)
    assert settings.share() == 4.0
    settings.spent(1.0)
    settings.spent(10.9)
    assert settings.share() == 0.5, "one attack is always played"
    assert Settings(Session(seconds=5.0), "quick").share() == 5.0
