"""JUnit XML against the schema of Jenkins' xUnit plugin, which most readers of such files keep to."""

from __future__ import annotations

import functools
from pathlib import Path
from xml.etree import ElementTree as Tree

import xmlschema

__all__ = ["check"]


@functools.cache
def _schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(Path(__file__).parent / "schemas" / "junit-10.xsd"))


def check(text: str) -> None:
    """Raises xmlschema.XMLSchemaValidationError, or AssertionError where the counts are not those of the cases."""
    _schema().validate(text)
    for suite in Tree.fromstring(text).iter("testsuite"):
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "-1")) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(name, "-1")) == sum(case.find(tag) is not None for case in cases)
