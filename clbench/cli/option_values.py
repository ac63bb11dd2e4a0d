"""Options given as text where no shell reads them: in a plan, or as OPTION=VALUE."""

from __future__ import annotations

from typing import Any

import click

from clbench.errors import InputError, did_you_mean


class OptionValues:
    """Reads values of a command's options that set a value of a run."""

    def __init__(self, ctx: click.Context, where: str, more: tuple[str, ...] = ()) -> None:
        """Know the options of the command under way.

        Args:
            ctx: of the command.
            where: begins messages, as "--vary".
            more: names of options that are known beside those of a configuration.
        """
        self._ctx, self._where = ctx, where
        self._known = {
            flag.removeprefix("--"): param
            for param in ctx.command.params
            if isinstance(param, click.Option)
            and param.name
            and ("__" in param.name or param.name in more)
            for flag in param.opts
        }

    def read(self, option: str, value: Any) -> tuple[str, Any]:
        """Return the name of the option's value, and the value.

        Raises:
            InputError: no such option, or no such value.
        """
        param = self._known.get(option.removeprefix("--"))
        if param is None or param.name is None:
            hint = did_you_mean(option, self._known)
            raise InputError(
                f"{self._where} {option}: expected an option of {self._ctx.command_path} that sets "
                f"a value of a run, without its dashes{hint}"
            )
        kind = click.BOOL if param.is_flag else param.type
        if isinstance(value, bool) and not param.is_flag:
            value = "yes" if value else "no"
        try:
            return param.name, kind.convert(value, param, self._ctx)
        except click.BadParameter as error:
            raise InputError(f"{self._where} {option}: {error.message}") from None


def choices(text: str, where: str) -> tuple[str, list[str]]:
    """Return option and values of OPTION=VALUE,VALUE or, for values with commas, VALUE;VALUE.

    Raises:
        InputError: something else.
    """
    name, equals, rest = text.removeprefix("--").partition("=")
    values = [value.strip() for value in rest.split(";" if ";" in rest else ",") if value.strip()]
    if not equals or not values:
        raise InputError(f"{where}: expected OPTION=VALUE,VALUE, found {text!r}")
    return name.strip(), list(dict.fromkeys(values))
