"""The command ``proxy``: the fault proxy by itself, its decoded events as lines."""

from __future__ import annotations

import click
import trio

from zmqfuzz.assembly import Interrupted, run
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.options import DURATION
from zmqfuzz.fault import Fault
from zmqfuzz.proxy.engine import ANYWHERE, Engine
from zmqfuzz.proxy.record import Entry, Recorder

__all__ = ["proxy_command"]


@click.command("proxy", epilog=EXIT_CODES)
@click.option("--to", required=True, metavar="EP", help="Where the server is bound.")
@click.option("--listen", default=ANYWHERE, metavar="EP", help="Where clients connect. [default: a free port]")
@click.option("--fault", "faults", multiple=True, metavar="TEXT", help="Such as 'hang after=READY'; may be repeated.")
@click.option("--for", "seconds", type=DURATION, help="End after this time. [default: with Ctrl-C]")
@click.option("--allow-remote", multiple=True, metavar="HOST", help="Also this host; default is loopback only.")
def proxy_command(
    to: str, listen: str, faults: tuple[str, ...], seconds: float | None, allow_remote: tuple[str, ...]
) -> int:
    """Stand between a ZeroMQ client and its server, show what passes, and do what --fault says.

    \b
        zmqfuzz proxy --to tcp://127.0.0.1:5555 --listen tcp://127.0.0.1:5556
        zmqfuzz proxy --to tcp://127.0.0.1:5555 --fault 'reset after=message n=3 connection=1'
    """
    read = [Fault.read(text) for text in faults]
    engine = Engine(to, listen, Recorder(keep=0, tell=_show), allow_remote)

    async def work() -> None:
        await engine.open()
        try:
            for fault in read:
                engine.set(fault)
            click.echo(f"{engine.endpoint} to {to}" + "".join(f"\n  fault: {fault}" for fault in read))
            with trio.move_on_after(float("inf") if seconds is None else seconds):
                await engine.serve()
        finally:
            engine.close()

    try:
        run(work)
    except Interrupted:
        click.echo("Interrupted: every connection is closed.", err=True)
        return 130
    for setting in engine.settings:
        if not setting.acted:
            click.echo(f"  never reached: {setting.fault}")
    return 0


def _show(entry: Entry) -> None:
    click.echo(str(entry))
