"""``clbench cache``: what is kept on disk to save work, and how to be rid of it."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import Failure, Group, say
from clbench.cli.options import JSON, Command, Option, attach

if TYPE_CHECKING:
    from clbench.store.store import Entry, Store

KIND = Option(
    ["--kind"],
    default=None,
    metavar="KIND",
    help="Only entries of this kind (clbench cache list); older stands for the files of older "
    "versions.  [default: all]",
)
YES = Option(["--yes", "-y"], is_flag=True, help="Remove without asking.")


@click.group(cls=Group)
def command() -> None:
    r"""Show and clear what is kept on disk to save work.

    Decoded images, distilled sets, experts' trajectories, unfinished distillations and outcomes of
    trained networks are kept below CLBENCH_CACHE, by default ~/.cache/clbench. Losing them costs
    time and nothing else; no run and no data set is among them. Above CLBENCH_CACHE_BYTES (as 500M
    or 20G; by default 20G) the least recently used go.

    \b
    Examples:
      clbench cache list
      clbench cache clear --kind images
      CLBENCH_CACHE_BYTES=5G clbench run --strategy dam_replay
    """


@command.command("list", cls=Command)
@attach(JSON)
def list_cache(json: bool) -> None:
    r"""Show how much of each kind is kept, and when it was last used.

    \b
    Examples:
      clbench cache list
      clbench cache list --json
    """
    from clbench.cli.display import print_json, print_table, table
    from clbench.measuring.format import count
    from clbench.store.store import Store

    store = Store()
    kinds = _by_kind(store)
    total = sum(facts["num_bytes"] for facts in kinds.values())
    if json:
        about = {"path": str(store.root), "limit_bytes": store.limit_bytes, "num_bytes": total}
        return print_json({**about, "kinds": kinds})
    columns = ("kind", "entries", "bytes", "oldest use", "last use")
    shown = table(columns, whole=columns)
    for kind, facts in kinds.items():
        times = (facts[name][:16].replace("T", " ") for name in ("oldest_use", "last_use"))
        shown.add_row(_shown(kind), count(facts["entries"]), count(facts["num_bytes"]), *times)
    print_table(f"Cache in {store.root}", shown)
    say(f"{count(total)} bytes; the limit is {count(store.limit_bytes)} bytes")
    return None


@command.command(cls=Command)
@attach(KIND, YES)
def clear(kind: str | None, yes: bool) -> None:
    r"""Remove entries of the cache, those of older versions too.

    Entries that a running process uses stay. Asks first; where there is no terminal to ask, --yes
    is needed.

    \b
    Examples:
      clbench cache clear
      clbench cache clear --kind images
      clbench cache clear --kind older --yes
    """
    from clbench.measuring.format import count
    from clbench.store.store import Store

    store = Store()
    _check(store, kind)
    found = _entries(store, kind)
    what = f"{_counted(found)} of {count(sum(e.num_bytes for e in found))} bytes in {store.root}"
    if found and not yes:
        if not sys.stdin.isatty():
            raise Failure(f"expected --yes where there is no terminal to ask: {what} would go")
        if not click.confirm(f"Remove {what}?"):
            say("nothing was removed")
            return
    freed = store.clear(kind)
    say(f"{count(freed)} bytes freed in {store.root}")
    left = _entries(store, kind)
    if left:
        say(f"{_counted(left)} stayed: running processes use them, or they cannot be removed")


@command.command(cls=Command)
def path() -> None:
    r"""Print the folder of the cache.

    \b
    Examples:
      clbench cache path
      du -sh "$(clbench cache path)"
    """
    from clbench.store.files import cache_dir

    say(cache_dir())


def _shown(kind: str) -> str:
    return "older versions" if kind == "older" else kind


def _counted(entries: list[Entry]) -> str:
    return f"{len(entries):,} {'entry' if len(entries) == 1 else 'entries'}"


def _entries(store: Store, kind: str | None) -> list[Entry]:
    return [entry for entry in store.entries() if kind in (None, entry.kind)]


def _check(store: Store, kind: str | None) -> None:
    """Refuse a kind that has no entries where others have."""
    kinds = sorted({entry.kind for entry in store.entries()})
    if kind is not None and kinds and kind not in kinds:
        raise Failure(f"--kind: expected one of {', '.join(kinds)}, found {kind!r}")


def _by_kind(store: Store) -> dict[str, dict[str, Any]]:
    """Kind -> its numbers; older versions' files last."""
    groups: dict[str, list[Entry]] = {}
    for entry in store.entries():
        groups.setdefault(entry.kind, []).append(entry)
    order = sorted(groups, key=lambda kind: (kind == "older", kind))
    return {kind: _facts(groups[kind]) for kind in order}


def _facts(entries: list[Entry]) -> dict[str, Any]:
    uses = [entry.last_used for entry in entries]
    return {
        "entries": len(entries),
        "num_bytes": sum(entry.num_bytes for entry in entries),
        "oldest_use": _local(min(uses)),
        "last_use": _local(max(uses)),
    }


def _local(seconds: float) -> str:
    """ISO 8601 in local time; a file's time may be one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return "unknown"
