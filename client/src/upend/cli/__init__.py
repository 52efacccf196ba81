"""The command line: `upend query "SELECT …"`. Every command is a thin skin over the package."""

from __future__ import annotations

import os
import sys

import click

EXIT_CODES = {
    0: "done",
    2: "the command was used wrongly",
    3: "refused: by a policy, the SQL gate, a limit, or an unknown table",
    4: "not logged in",
    5: "the query failed, or its result is gone",
    6: "the server or its storage could not be reached",
    130: "cancelled",
}


CANCELLED = 130


def main() -> None:
    """Run the command line and exit with one of `EXIT_CODES`."""
    code = run(sys.argv[1:])
    if code == CANCELLED:
        # An engine that does not look at interrupts would keep a normal exit waiting.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; every expected error becomes words."""
    from upend.cli.group import cli  # noqa: PLC0415  # so that importing upend.cli stays free
    from upend.errors import UpendError  # noqa: PLC0415

    try:
        cli.main(args=arguments, prog_name="upend", standalone_mode=False)
    except UpendError as error:
        _tell(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.secho("Cancelled.", fg="yellow", err=True)
        return CANCELLED
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has seen enough
        return 0
    return 0


def _tell(error: Exception) -> None:
    from upend.errors import UpendError  # noqa: PLC0415

    if not isinstance(error, UpendError):
        raise error
    click.secho(f"Error: {error.detail}", fg="red", err=True)
    if error.hint:
        click.echo(f"  Next: {error.hint}", err=True)
    marks = [error.code, f"request {error.request_id}" if error.request_id else ""]
    click.secho(f"  ({', '.join(filter(None, marks))})", dim=True, err=True)
