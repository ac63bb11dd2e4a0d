"""The command ``clbench``: commands imported on demand, every failure told in one line.

Help must come at once, so nothing here may import torch (1 s) or Avalanche (5 s).
"""

from __future__ import annotations

import importlib
import io
import sys
import warnings
from typing import Any, NoReturn

import click

from clbench import __version__
from clbench.errors import InputError, did_you_mean
from clbench.machine.cores import share_cores
from clbench.machine.stopping import stoppable
from clbench.store.plain import readable

# Command -> what `clbench --help` says of it; its module is clbench.cli.NAME. A test holds these
# lines equal to the commands' own.
COMMANDS = {
    "run": "Run a strategy on a stream and measure what it forgets.",
    "distill": "Distil a data set into a few images and score them.",
    "evaluate": "Score a distilled set, train on full data, search architectures.",
    "sweep": "Run a grid of settings, here or on a cluster, and compare what comes of it.",
    "tune": "Choose settings on the validation stream.",
    "compare": "Compare finished runs: tables and figures.",
    "list": "Show strategies, benchmarks, networks, distillers, codecs, evaluations and data sets.",
    "data": "List, fetch, prepare and verify data sets.",
    "speed": "Measure how fast clbench is beside plain code, and predict what a stream takes.",
    "doctor": "Look at this machine and installation, and say what to mend.",
    "cache": "Show and clear what is kept on disk to save work.",
    "completion": "Print the completion script of a shell.",
}
BAD_INPUT, INTERRUPTED = 2, 130
DEBUG = "clbench.debug"


class Failure(click.ClickException):
    """What went wrong, in one line."""

    exit_code = BAD_INPUT


class Interrupted(Failure):
    """Stopped from outside; says what is left."""

    exit_code = INTERRUPTED


def in_one_line(text: str) -> str:
    """The text with every run of white space made one blank."""
    return " ".join(text.split())


def _failure(error: BaseException) -> Failure | None:
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted; nothing was written")
    if isinstance(error, InputError):
        return Failure(str(error))
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        place = f"{error.filename}: " if error.filename else ""
        return Failure(f"{place}{error.strerror or error}; check the path and its permissions")
    if _memory_ran_out(error):
        return Failure(
            "expected more memory than there is; lower what is held at once, as --batch-size, "
            "--images-per-pass, --image-size or --workers, whichever this command has"
        )
    return None


def _memory_ran_out(error: BaseException) -> bool:
    """Python's error, or torch's on a CPU or a GPU."""
    told = str(error)
    of_torch = isinstance(error, RuntimeError) and (
        "allocate memory" in told or "out of memory" in told
    )
    return isinstance(error, MemoryError) or of_torch


# Options of before, and what says the same today.
_GONE = {"--packing": "--codec tiles:factor=2", "--storage": "--codec float32"}


def _instead(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption) and error.option_name in _GONE:
        return f" Use {_GONE[error.option_name]} instead."
    return ""


def say(text: object, *, err: bool = False, quiet: bool = False) -> None:
    """Print a line unless ``quiet``; names in it move no cursor and change no colour."""
    if not quiet:
        click.echo(readable(str(text)), err=err)


def _complain(text: str) -> None:
    say(f"clbench: error: {in_one_line(text)}", err=True)


class RawHelp(click.Command):
    r"""A command whose docstring is raw: click's mark ``\b`` is written as two characters."""

    def __init__(self, *args: Any, help: str | None = None, **extra: Any) -> None:
        extra["help"] = help and help.replace("\\b", "\b")
        super().__init__(*args, **extra)


class Group(RawHelp, click.Group):
    """A group of commands with ``-h``."""

    def __init__(self, *args: Any, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.context_settings = {"help_option_names": ["-h", "--help"]}


class CommandGroup(Group):
    """Imports a command when it is called; turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import ``clbench.cli.<name>`` and take its ``command``."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"clbench.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, which suggests commands that are imported already, and so none of these."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(
                f"expected a command, one of {', '.join(COMMANDS)}; found {args[0]!r}{hint}", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and summaries, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; with ``--debug`` errors pass through whole."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, Exception) as error:
            failure = _failure(error)
            if failure is None or ctx.meta.get(DEBUG):
                raise
            raise failure from None

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """As `click.Group.main`, with all errors in clbench's one form."""
        extra["standalone_mode"] = False
        _show_any_name()
        if not standalone_mode:
            return super().main(*args, **extra)
        with stoppable() as stopping:
            try:
                code = super().main(*args, **extra)
            except click.exceptions.NoArgsIsHelpError as error:
                error.show()
                code = BAD_INPUT
            except Interrupted as error:
                _complain(error.format_message())
                code = stopping.exit_code(error.exit_code)
            except click.ClickException as error:
                _complain(error.format_message() + _instead(error) + _where_help_is(error))
                code = error.exit_code
            except (click.Abort, KeyboardInterrupt):
                _complain("interrupted")
                code = stopping.exit_code(INTERRUPTED)
            except ImportError:
                # What a stop comes out as in the middle of the start of a compiled module.
                if stopping.signal is None:
                    raise
                _complain("interrupted")
                code = stopping.exit_code(INTERRUPTED)
        _leave(code)


def _show_any_name() -> None:
    """Let a name that is not UTF-8 be printed with a question mark instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """What a warning is on the terminal: a line in the form of errors, without the source."""
    return f"clbench: warning: {readable(in_one_line(str(message)))}\n"


def _where_help_is(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f" (see {error.ctx.command_path} --help)"
    return ""


def _leave(code: Any) -> NoReturn:
    sys.exit(code if isinstance(code, int) else 0)


def set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Callback of ``--debug``; remembered for the whole command line."""
    if value:
        ctx.meta[DEBUG] = True


@click.command("clbench", cls=CommandGroup)
@click.version_option(__version__, prog_name="clbench", message="%(prog)s %(version)s")
@click.option(
    "--debug", is_flag=True, expose_value=False, callback=set_debug, help="Show tracebacks."
)
def cli() -> None:
    r"""Does a memory of distilled images beat a memory of real ones, at equal bytes?

    \b
    Start here (90 seconds on two cores, nothing to download):
      clbench run --strategy dam_replay --baseline random_replay
    \b
    Then:
      clbench list                        what there is to choose from
      clbench run --help                  every option, its default, examples
      clbench compare runs/split_mnist5k  tables and figures of all runs
    """


def main() -> NoReturn:
    """Entry point of the console script."""
    share_cores()
    warnings.formatwarning = _warning
    cli.main(prog_name="clbench")
    raise AssertionError("main() leaves by sys.exit")
