"""``clbench doctor``."""

from __future__ import annotations

from pathlib import Path

import click

from clbench.cli.group import say
from clbench.cli.options import DATA_ROOT, JSON, Command, attach

PROBLEMS = 1  # exit code


@click.command(cls=Command)
@attach(DATA_ROOT, JSON)
@click.pass_context
def command(ctx: click.Context, data_root: Path | None, json: bool) -> None:
    r"""Look at this machine and installation, and say what to mend.

    Versions, devices, threads, memory, codecs, extras, plug-ins, folders that must be written, and
    data sets. A note is something that is missing and may be; a problem is to be mended. The exit
    code is 1 where there is a problem.

    \b
    Examples:
      clbench doctor
      clbench doctor --json > doctor.json      to send along with a question
    """
    from dataclasses import asdict

    from clbench.cli.display import print_json, print_table, table
    from clbench.doctor import examine

    findings = list(examine(data_root))
    bad = sum(finding.health == "problem" for finding in findings)
    if json:
        print_json({"problems": bad, "findings": [asdict(one) for one in findings]})
        ctx.exit(PROBLEMS if bad else 0)
    made = table(["", "about", "found", "what to do"], left=4, whole=["", "about"])
    for one in findings:
        made.add_row(one.health, one.about, one.found, one.advice)
    print_table("What clbench finds here", made)
    say("1 problem" if bad == 1 else f"{bad} problems" if bad else "nothing to mend")
    ctx.exit(PROBLEMS if bad else 0)
