"""The command line. Commands are imported when they are called, so that `culvert --help` is quick."""

from __future__ import annotations

import importlib
import sys

import click

from culvert import __version__
from culvert.cli.options import directories

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("culvert.cli.up:up", "Start the gateway, in the foreground or with -d behind it."),
    "down": ("culvert.cli.down:down", "End the gateway and take everything of it away."),
    "reload": ("culvert.cli.reload:reload", "Read the configuration again."),
    "check": ("culvert.cli.check:check", "Tell what is wrong with a configuration, and what `up` would do."),
    "status": ("culvert.cli.status:status", "Show whether the tunnels are up, and if not, why."),
    "connect": ("culvert.cli.connect:connect", "Bring a peer up now and wait until it is."),
    "disconnect": ("culvert.cli.disconnect:disconnect", "End a peer's tunnel until connect, reload or restart."),
    "rekey": ("culvert.cli.rekey:rekey", "Make new keys for a peer now."),
    "prove": ("culvert.cli.prove:prove", "Show that nothing between the networks can be read outside."),
    "setkey": ("culvert.cli.setkey:setkey", "Edit the tables of associations and policies by hand, as setkey(8)."),
    "ifconfig": ("culvert.cli.ifconfig:ifconfig", "Show, make and change gif links, as ifconfig(8) does."),
    "route": ("culvert.cli.route:route", "Add and delete routes through gif links, as route(8) does."),
    "routes": ("culvert.cli.routes:routes", "Show the routes, as netstat -rn does."),
    "pki": ("culvert.cli.pki:pki", "Make a small authority, certificates for gateways, and take them back."),
    "demo": ("culvert.cli.demo:demo", "Join two networks on this machine and look at it from outside."),
    "log": ("culvert.cli.log:log", "Show the log of the gateway that runs, and turn its details up and down."),
    "version": ("culvert.cli.version:version", "Say which version this is, and which one runs."),
}
"""By name: where the command is, and its line in the help."""
SETKEY = "setkey"
"""The second name of the program."""


class Lazy(click.Group):
    """A group that knows its commands by name, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message.rstrip('.')}{_near(args[0])}", ctx) from None


def _near(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, COMMANDS, 1)
    return f"; did you mean {near[0]}?" if near else "."


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="culvert", message="%(prog)s %(version)s")
@directories
def culvert() -> None:
    """Culvert joins two private networks over the Internet with IPsec, so that they behave as one."""


def main() -> None:
    """Run the command line and exit: 0 good, 1 not good, 2 wrong usage. No traceback is ever shown.

    Called by the name `setkey`, it is that command.
    """
    from culvert.cli.failures import exit_code_of

    try:
        if sys.argv[0].rpartition("/")[2] == SETKEY:
            code = culvert.main([SETKEY, *sys.argv[1:]], standalone_mode=False, prog_name="culvert")
        else:
            code = culvert.main(standalone_mode=False, prog_name="culvert")
    except BaseException as error:
        code = exit_code_of(error)
    sys.exit(code if isinstance(code, int) else 0)
