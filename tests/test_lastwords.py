"""What programs in several languages write when they die, as their runtimes wrote it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zmqfuzz.lastwords import CORRUPTED, place, uncaught

PYTHON = subprocess.run(
    [sys.executable, "-c", "def ask():\n    raise KeyError('x')\nask()"], capture_output=True, text=True, check=False
).stderr

JAVA = """Exception in thread "main" java.lang.NullPointerException: Cannot invoke "org.zeromq.ZFrame.getData()"
\tat java.base/java.util.Objects.requireNonNull(Objects.java:208)
\tat hub.RouterWeak.main(RouterWeak.java:21)
"""
NODE = """/srv/router.js:9
    if (verb.toString() === "put") jobs.set(argument.toString(), Date.now());
             ^

TypeError: Cannot read properties of undefined (reading 'toString')
    at main (/srv/router.js:9:14)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)

Node.js v20.20.2
"""
NODE_BARE = "[Error: Operation was not possible or timed out] {\n  errno: 11,\n  code: 'EAGAIN'\n}\nNode.js v20.20.2\n"
PHP = """PHP Fatal error:  Uncaught ZMQSocketException: Failed to send message in /srv/rep.php:7
Stack trace:
#0 /srv/rep.php(7): ZMQSocket->send()
#1 {main}
  thrown in /srv/rep.php on line 7
"""
RUBY = """/usr/lib/ruby/3.1.0/json/common.rb:216:in `initialize': no implicit conversion of nil into String (TypeError)
\tfrom /usr/lib/ruby/3.1.0/json/common.rb:216:in `parse'
\tfrom /srv/rep.rb:10:in `block in <main>'
"""
R = "Error in parts[[i]] : subscript out of bounds\nCalls: <Anonymous> ... wire_to_msg\nExecution halted\n"
CPLUSPLUS = "terminate called after throwing an instance of 'std::out_of_range'\n  what():  vector::_M_range_check\n"
ASSERTION = "server: src/zframe.c:174: zframe_size: Assertion `self' failed.\n"
GO = "panic: runtime error: index out of range [2] with length 1\n\ngoroutine 1 [running]:\nmain.main()\n"
RUST = "thread 'main' panicked at src/main.rs:12:9:\nindex out of bounds: the len is 1 but the index is 2\n"


@pytest.mark.parametrize(
    ("log", "error", "where"),
    [
        (PYTHON, "KeyError", "<string>:ask"),
        (JAVA, "uncaught NullPointerException", "RouterWeak.java:RouterWeak.main"),
        (NODE, "TypeError", "router.js:main"),
        (NODE_BARE, "uncaught EAGAIN", ""),
        (PHP, "uncaught ZMQSocketException", "rep.php"),
        (RUBY, "uncaught TypeError", "common.rb"),
        (R, "uncaught Error", ""),
        (CPLUSPLUS, "uncaught std::out_of_range", ""),
        (ASSERTION, "failed assertion", "zframe.c"),
        (GO, "uncaught index out of range", ""),
        (RUST, "uncaught panic", "main.rs"),
        ("ffmpeg\nfree(): invalid pointer\n", f"{CORRUPTED}free(): invalid pointer", ""),
        ("*** stack smashing detected ***: terminated\n", f"{CORRUPTED}stack smashing detected", ""),
        ("listening\nrequest 5 failed: bad input\n", "", ""),
    ],
)
def test_the_error_and_its_place_are_read(log: str, error: str, where: str) -> None:
    assert (uncaught(log), place(log)) == (error, where)


def test_what_was_told_before_is_not_why_a_signal_ended_it() -> None:
    assert uncaught(JAVA, crashed=True) == ""
    assert uncaught(f"{JAVA}free(): invalid pointer\n", crashed=True) == f"{CORRUPTED}free(): invalid pointer"
