"""``clbench completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from clbench.cli.options import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
    Examples:
      eval "$(clbench completion bash)"                      in ~/.bashrc
      eval "$(clbench completion zsh)"                       in ~/.zshrc
      clbench completion fish > ~/.config/fish/completions/clbench.fish
    """
    from clbench.cli.group import cli

    complete = get_completion_class(shell)
    assert complete is not None, "click knows these three"
    click.echo(complete(cli, {}, "clbench", "_CLBENCH_COMPLETE").source())
