"""The command line, put together. Each sub-command has a file of its own."""

from collections.abc import Iterable
from importlib import import_module, metadata
from typing import Annotated

import typer

from userstack.cli.guard import complain, describe

COMMANDS = ("demo", "nc", "ss", "drill", "bench", "doctor")
"""In the order of the help. Each is a function of that name, in the file of that name."""

_ClickError: type[Exception] = typer.BadParameter.__mro__[2]
"""click's own root of errors: newer typer carries a private copy of click, so this is the one name that is right for all."""


def _made_of(names: Iterable[str]) -> typer.Typer:
    app = typer.Typer(
        name="userstack",
        help="A TCP stack in user space: RFC 9293 clause by clause, over TUN, TAP, veth or an interface of yours.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in names:
        app.command()(getattr(import_module(f"userstack.cli.{name}"), name))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"userstack {_version()}", flush=True)
        raise typer.Exit


def _version() -> str:
    try:
        return metadata.version("userstack")
    except metadata.PackageNotFoundError:
        return "(not installed: run from its source)"


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """Run the command line ``arguments`` and give the exit code: 2 where they are wrong, with one line that says why.

    The one command that is asked for is loaded without the others: what those import takes several times as long.
    """
    asked = [name for name in arguments[:1] if name in COMMANDS]
    try:
        code = _made_of(asked or COMMANDS)(arguments, prog_name="userstack", standalone_mode=False)
    except _ClickError as error:
        return _complain_of_usage(error)
    except OSError as error:  # the help or the version could not be written: a command sees to its own
        complain("", describe(error))
        return 1
    return int(code or 0)


def _complain_of_usage(error: Exception) -> int:
    """Without a text the help was asked for by giving nothing, and is printed already."""
    text = " ".join(str(getattr(error, "format_message", error.__str__)()).split()).removeprefix("Invalid value: ")
    command = getattr(getattr(error, "ctx", None), "command_path", "userstack")
    if text:
        complain(command.removeprefix("userstack").strip(), f"{text} (see {command} --help)")
    return int(getattr(error, "exit_code", 2))
