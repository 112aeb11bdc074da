"""The commands ``corpus list``, ``prune``, ``merge`` and ``import``."""

from __future__ import annotations

from pathlib import Path

import click

from zmqfuzz.campaign.novelty import OBJECTIVES
from zmqfuzz.campaign.report import printable
from zmqfuzz.campaign.text import count
from zmqfuzz.errors import UsageError
from zmqfuzz.overnight.entries import Pool, needed
from zmqfuzz.overnight.merging import imported, merged

__all__ = ["corpus_command"]

_STORE = click.option(
    "--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where corpus and findings are kept."
)


@click.group("corpus")
def corpus_command() -> None:
    """What campaigns have learned: attacks that were worth to be kept, and messages to attack with."""


def _pools(store: Path) -> list[Pool]:
    folder = store / "corpus"
    return [Pool(store, path.name) for path in sorted(folder.glob("*")) if path.is_dir()]


@corpus_command.command("list")
@_STORE
def list_command(store: Path) -> int:
    """The entries by target and family, the best in each objective, and what was set aside."""
    pools = _pools(store)
    if not pools:
        click.echo(f"There is nothing in {store / 'corpus'} yet; `zmqfuzz campaign` fills it.")
    for pool in pools:
        entries = pool.entries()
        click.echo(printable(f"{pool.folder.name}: {len(entries)} entries in {pool.folder}"))
        for family in sorted({entry.attack.strategy for entry in entries}):
            here = [entry for entry in entries if entry.attack.strategy == family]
            cells = frozenset[str]().union(*(entry.cells for entry in here))
            click.echo(printable(f"  {family:22}{len(here):5} entries, first in {count(len(cells), 'behaviour')}"))
        for name, words in OBJECTIVES.items():
            best = max((entry for entry in entries if name in entry.best), key=lambda one: one.best[name], default=None)
            if best is not None:
                click.echo(printable(f"  most {words}: {best.best[name]:,.2f}  {best.path}"))
        for said in pool.said:
            click.echo(printable(said), err=True)
    return 0


@corpus_command.command("prune")
@_STORE
def prune_command(store: Path) -> int:
    """Delete what others show, too: the smallest entry of each behaviour stays, and the best of each objective."""
    for pool in _pools(store):
        entries = pool.entries()
        stay = {entry.path for entry in needed(entries)}
        for entry in entries:
            if entry.path not in stay:
                _delete(entry.path)
        gone = len(entries) - len(stay)
        click.echo(printable(f"{pool.folder.name}: {gone} of {len(entries)} entries were deleted"))
        for said in pool.said:
            click.echo(printable(said), err=True)
    return 0


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be deleted: {error.strerror}; change its folder's mode.") from None


@corpus_command.command("merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@_STORE
def merge_command(folders: tuple[Path, ...], store: Path) -> int:
    """Take over entries and findings from other stores (DIR: a .zmqfuzz folder, or one that holds one)."""
    for folder in folders:
        source = folder / ".zmqfuzz" if (folder / ".zmqfuzz").is_dir() else folder
        if not (source / "corpus").is_dir() and not (source / "findings").is_dir():
            raise UsageError(f"{folder} holds neither corpus nor findings; give a .zmqfuzz folder.")
        result = merged(source, store)
        click.echo(
            printable(f"{folder}: {count(result.entries, 'new entry').replace('entrys', 'entries')}")
            + f", {count(result.findings, 'new finding')}, {result.known} known already"
        )
        for said in result.said:
            click.echo(printable(said), err=True)
    return 0


@corpus_command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_STORE
def import_command(file: Path, store: Path) -> int:
    """Take over recorded messages: FILE is jsonl as --seeds reads it, or a pcap with ZMTP in it.

    They are kept in the store's folder `seeds`: give that to --seeds.
    """
    messages, kept = imported(file, store)
    click.echo(printable(f"{count(messages, 'message')} of {file} {'are' if messages != 1 else 'is'} in {kept}"))
    click.echo(printable(f"attack with them: --seeds {kept.parent}"))
    return 0
