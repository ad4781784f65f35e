"""The one command `tagtrail`: finds the subcommand asked for and imports only that one.

A subcommand is a module `ledger.cli.<name>` with a `typer.Typer` called `app`, or an entry
point of the group `tagtrail.commands` (the gateway and the simulator register theirs there,
so that the ledger imports neither). Nothing of a subcommand is imported before it is
invoked or listed in the help: `tagtrail verify` never loads the server's packages.

Exit codes: 0 done; 1 a negative result (refused, not verified); 2 usage or input that does
not parse. `verify` has its own table, in which usage is 4. 130 is Ctrl-C.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ledger.errors import RefusedError, TagtrailError, VerificationError

EXIT_NEGATIVE = 1
EXIT_USAGE = 2
# Commands whose table of exit codes gives 2 another meaning.
EXIT_USAGE_OF = {"verify": 4}

COMMANDS = (
    *("init", "serve", "capture", "keys", "export", "copy"),
    *("trace", "recall", "bundle", "proof", "erase", "verify"),
    *("witness", "follow", "timestamp", "conformance"),
)
ENTRY_POINT_GROUP = "tagtrail.commands"
_OURS = ("ledger", "ingest", "device_sim")


class LazyCommands(TyperGroup):
    """The group of all subcommands, each imported at the moment it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's private type
        """Return the names of all subcommands, the ledger's own first."""
        found = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
        return [*COMMANDS, *sorted(found - set(COMMANDS))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command called `cmd_name`, or None: the caller then names the choices."""
        if cmd_name not in self.commands and cmd_name in self.list_commands(ctx):
            try:
                app = _load(cmd_name)
            except ModuleNotFoundError as error:
                app = _missing(cmd_name, error)
            command = get_command(app)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return self.commands.get(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; a usage error gets the exit code of that command's table."""
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            if error.exit_code == EXIT_USAGE:
                error.exit_code = _usage_code(ctx.invoked_subcommand)
            raise
        except TagtrailError as error:
            typer.echo(f"tagtrail {ctx.invoked_subcommand}: {_one_line(error)}", err=True)
            raise typer.Exit(_exit_code(error, ctx.invoked_subcommand)) from error
        except ModuleNotFoundError as error:
            why = _why_missing(ctx.invoked_subcommand, error)
            typer.echo(f"tagtrail {ctx.invoked_subcommand}: {why}", err=True)
            raise typer.Exit(_usage_code(ctx.invoked_subcommand)) from error


def _load(name: str) -> typer.Typer:
    if name in COMMANDS:
        loaded = import_module(f"ledger.cli.{name}").app
    else:
        (point,) = (p for p in entry_points(group=ENTRY_POINT_GROUP) if p.name == name)
        loaded = point.load()
    assert isinstance(loaded, typer.Typer)
    return loaded


def _missing(name: str, error: ModuleNotFoundError) -> typer.Typer:
    """Return a stand-in that says which package the command lacks, when it is invoked."""
    why = _why_missing(name, error)
    app = typer.Typer()

    @app.command(
        help=f"(not installed) {why}", context_settings={"ignore_unknown_options": True}
    )
    def missing(rest: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:  # noqa: ARG001 - swallows whatever was typed
        raise TagtrailError(why)

    return app


def _why_missing(name: str | None, error: ModuleNotFoundError) -> str:
    """Say which package the command `name` lacks, and how to get it."""
    package = (error.name or "").split(".")[0]
    if package in _OURS:
        return f"this installation has no command {name!r} (no module {error.name})"
    extra = "postgres" if package == "psycopg" else "server,gateway"
    return f"{name!r} needs the package {package!r}: pip install 'tagtrail[{extra}]'"


def _usage_code(command: str | None) -> int:
    return EXIT_USAGE_OF.get(command or "", EXIT_USAGE)


def _exit_code(error: TagtrailError, command: str | None) -> int:
    if command not in EXIT_USAGE_OF and isinstance(error, RefusedError | VerificationError):
        return EXIT_NEGATIVE
    return _usage_code(command)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"tagtrail {version('tagtrail')}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyCommands,
    name="tagtrail",
    help="A supply-chain traceability ledger that an outsider can check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def tagtrail(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that come before the subcommand."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run `tagtrail` with `argv` (of the process by default), then exit with its code.

    What the user or the machine got wrong is one line on standard error; a traceback is
    a defect of tagtrail.
    """
    try:
        get_command(app).main(args=argv, prog_name="tagtrail")
    except OSError as error:
        typer.echo(f"tagtrail: {_one_line(error)}", err=True)
        sys.exit(EXIT_USAGE)
