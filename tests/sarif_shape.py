"""SARIF against its schema, and strictly against the part of it that our logs use: no key that is not listed."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema

__all__ = ["check"]

LEVELS = ("none", "note", "warning", "error")
SHAPES: dict[str, dict[str, Any]] = {  # object: its keys; "!" requires one, "[]" is a list, capitals name an object
    "log": {"$schema": str, "version!": "2.1.0", "runs!": "run[]"},
    "run": {
        "tool!": "tool",
        "columnKind": ("utf16CodeUnits", "unicodeCodePoints"),
        "originalUriBaseIds": dict,
        "invocations": "invocation[]",
        "results": "result[]",
    },
    "tool": {"driver!": "driver"},
    "driver": {"name!": str, "semanticVersion": str, "rules": "rule[]"},
    "rule": {
        "id!": str,
        "shortDescription": "message",
        "fullDescription": "message",
        "defaultConfiguration": "configuration",
        "properties": dict,
    },
    "configuration": {"level": LEVELS},
    "message": {"text!": str},
    "invocation": {
        "executionSuccessful!": bool,
        "exitCode": int,
        "exitCodeDescription": str,
        "toolExecutionNotifications": "notification[]",
    },
    "notification": {"level": LEVELS, "message!": "message", "locations": "location[]"},
    "result": {
        "ruleId": str,
        "ruleIndex": int,
        "level": LEVELS,
        "message!": "message",
        "locations": "location[]",
        "partialFingerprints": dict,
        "suppressions": "suppression[]",
        "properties": dict,
    },
    "location": {"physicalLocation": "physical", "logicalLocations": "logical[]"},
    "physical": {"artifactLocation": "artifact", "region": "region"},
    "artifact": {"uri": str, "uriBaseId": str},
    "region": {"startLine": int, "startColumn": int},
    "logical": {"fullyQualifiedName": str, "kind": str},
    "suppression": {
        "kind!": ("inSource", "external"),
        "status": ("accepted", "underReview", "rejected"),
        "justification": str,
    },
}


@functools.cache
def _schema() -> jsonschema.Draft4Validator:
    plain = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    return jsonschema.Draft4Validator(plain, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


def check(log: Any) -> None:
    """Raises ValidationError where ``log`` is not what the schema of SARIF 2.1.0 allows, and AssertionError where it
    has more than is listed here, or what code scanning needs is not there."""
    _schema().validate(log)
    _check(log, "log", "log")
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        assert len({rule["id"] for rule in rules}) == len(rules)
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["partialFingerprints"]
            assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        for base in run["originalUriBaseIds"].values():
            assert re.fullmatch(r"[a-z]+://.*/", base["uri"])


def _check(value: Any, kind: Any, where: str) -> None:
    if isinstance(kind, type):
        assert type(value) is kind, f"{where} is {value!r}"
    elif isinstance(kind, tuple):
        assert value in kind, f"{where} is {value!r}"
    elif kind.endswith("[]"):
        assert isinstance(value, list), where
        for number, item in enumerate(value):
            _check(item, kind[:-2], f"{where}[{number}]")
    elif kind not in SHAPES:
        assert value == kind, f"{where} is {value!r}"
    else:
        assert isinstance(value, dict), where
        keys = {key.removesuffix("!"): inner for key, inner in SHAPES[kind].items()}
        assert not set(value) - set(keys), f"{where}: unknown {set(value) - set(keys)}"
        assert {key[:-1] for key in SHAPES[kind] if key.endswith("!")} <= set(value), f"{where}: something is missing"
        for key, inner in value.items():
            _check(inner, keys[key], f"{where}.{key}")
        if kind == "region":
            assert min(value.values()) >= 1
        if kind == "artifact":
            assert re.fullmatch(r"[!-~]*", value["uri"])
