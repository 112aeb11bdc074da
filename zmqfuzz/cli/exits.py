"""Exit codes, and how every error ends: one clear sentence, no traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import traceback

import click

from zmqfuzz.assembly import Interrupted
from zmqfuzz.campaign.report import printable
from zmqfuzz.errors import ZmqfuzzError

__all__ = ["EXIT_CODES", "guarded", "without_secrets"]

EXIT_CODES = """\b
Exit codes:
    0  every selected invariant was exercised and held, or only known findings
    1  a new finding at or above --fail-on
    2  wrong usage or configuration
    3  inconclusive: something could not be reached, seen or confirmed
    4  the target did not start, or was gone
    5  nothing was selected
   70  zmqfuzz itself failed; a file for the bug report is written
  130  interrupted; what was found is saved"""


def guarded(command: click.Command) -> int:
    """Run ``command`` and return the exit code."""
    try:
        result = command.main(standalone_mode=False)
    except click.exceptions.Abort:
        return _say("Interrupted.", 130)
    except Interrupted:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to interrupt but this sentence
        return _say("Interrupted: everything that was started has been stopped; findings so far are saved.", 130)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ZmqfuzzError as error:
        return _say(f"zmqfuzz: {error}", error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing more to say
        return 141
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EMFILE):
            where = f" ({error.filename})" if error.filename else ""
            return _say(f"zmqfuzz: {error.strerror}{where}; free what is missing and run again.", 2)
        return _bug()
    except Exception:
        return _bug()
    return int(result or 0)


def _say(text: str, code: int) -> int:
    click.echo("\n".join(printable(line) for line in text.split("\n")), err=True)
    return code


def without_secrets(words: list[str]) -> list[str]:
    """The words of a command line, for a file that others read: no password and no secret key."""
    secret = ("--password", "--client-key", "--our-secret-key")
    hidden = []
    for before, word in zip(["", *words], words, strict=False):
        name, equals, _ = word.partition("=")
        hidden.append("..." if before in secret else f"{name}=..." if equals and name in secret else word)
    return hidden


def _bug() -> int:
    handle, path = tempfile.mkstemp(prefix="zmqfuzz-bug-", suffix=".txt")
    with os.fdopen(handle, "w") as file:
        file.write(f"zmqfuzz {' '.join(without_secrets(sys.argv[1:]))}\n\n{traceback.format_exc()}")
    reason = traceback.format_exception_only(sys.exc_info()[1])[-1].strip()
    return _say(f"zmqfuzz itself failed ({reason}). Please report it with this file: {path}", 70)
