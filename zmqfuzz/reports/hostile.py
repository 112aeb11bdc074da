"""What a target said, made harmless for each format. Line breaks stay; every other control character is shown."""

from __future__ import annotations

import re

from zmqfuzz.campaign.text import printable

__all__ = ["fenced", "markdown", "shown"]


def shown(text: str) -> str:
    r"""``text`` without anything that acts on a terminal, reorders text, or that XML 1.0 (2.2) forbids: ``\x00``."""
    return "\n".join(printable(line) for line in str(text).split("\n"))


def markdown(text: str) -> str:
    """``text`` as one paragraph in which nothing is markup, a link or an image (CommonMark 2.4: backslash escapes)."""
    line = " ".join(shown(text).split())
    escaped = re.sub(r"([\\`*_{}\[\]#|~!$^])", r"\\\1", line)
    return (
        escaped.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("://", "&#58;//")
        .replace("www.", "www&#46;")
    )


def fenced(text: str) -> str:
    """``text`` as a block of code, between fences that are longer than any inside (CommonMark 4.5)."""
    inside = shown(text).rstrip()
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", inside)), default=0) + 1)
    return f"{fence}text\n{inside}\n{fence}"
