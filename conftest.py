"""What all of zmqfuzz's own tests share: ``pytester``, a Hypothesis profile, and ``--run-slow``."""

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]  # legal only in the root conftest

# Explicit, because with a variable CI in the environment Hypothesis would repeat the same examples for ever, and
# because a machine that runs two suites at once misses any deadline.
settings.register_profile("zmqfuzz", deadline=None, derandomize=False)
settings.load_profile("zmqfuzz")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="a soak; give --run-slow"))
