"""The `ledgerlake` command. Thin: each group of commands is a module of `jobs/commands/`; what they do is elsewhere.

Exit status: 0 done; 1 the answer is not good (a gate stopped, a lane is missing, a contract is wrong); 2 the command was not understood;
3 a service does not answer, or its disk is full.
"""

from __future__ import annotations

import importlib
import sys

import typer

from jobs.commands.output import Bad, errors

# The modules of `jobs/commands/`, in the order in which the help shows their commands.
GROUPS = (
    "services", "demo", "faults", "files", "lanes", "pulls", "alerts", "gates", "quarantine", "breaks", "events", "rows", "releases", "approvals", "kpi", "keys",
    "contracts",
)  # fmt: skip
# Commands that are not called as their module is.
GROUP_OF = {"up": "services", "down": "services", "status": "services", "rollback": "releases", "restate": "releases", "pgp-key": "keys"}  # fmt: skip


def command_line(words: list[str]) -> typer.Typer:
    """The command with the groups that these words need: one of them where the first word names it, for to load them all takes two seconds."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        help="Ledgerlake: a bank's data, from the branch's file to the KPI report.\n\nEvery command takes `--help`, which ends with an example.",
    )
    app.callback()(lambda: None)  # a group of commands, even if one alone is loaded
    asked = GROUP_OF.get(words[0], words[0]) if words else ""
    for name in [asked] if asked in GROUPS else GROUPS:
        module = importlib.import_module(f"jobs.commands.{name}")
        if name == "contracts":
            app.add_typer(module.app, name=name)
        else:
            module.register(app)
    return app


def main() -> None:
    """Run the command; what goes wrong is told in one message, without a traceback, with the exit status that it means."""
    try:
        # The exit status, where a command gave one.
        status = command_line(sys.argv[1:])(prog_name="ledgerlake", standalone_mode=False)
    except typer.Abort:
        sys.exit(130)
    except Bad as bad:
        errors.print(str(bad), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(bad.status)
    except Exception as error:
        status, message = _explained(error)
        if message is None:
            raise
        if message:
            errors.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(status)
    sys.exit(status or 0)


def _explained(error: Exception) -> tuple[int, str | None]:
    """Exit status and message of the errors that we know (empty when the help was shown instead); None for a defect, whose traceback is worth seeing."""
    from infra.local.services import ServicesError
    from jobs.contracts import ContractError
    from jobs.demo_bank.crm import OfficeShut
    from jobs.lake import DiskFull, SparkUnavailable
    from jobs.lake.released import NotReadable
    from jobs.ledger import LedgerUnavailable
    from jobs.ledger.days import MonthClosed
    from jobs.ledger.fixes import NotAllowed
    from jobs.privacy.keys import KeysUnavailable
    from jobs.schema_change import NotNow

    if isinstance(error, typer.TyperException):
        where = getattr(getattr(error, "ctx", None), "command_path", "ledgerlake")
        said = error.format_message()
        return 2, f"{said}\nTry `{where} --help`." if said else ""
    if isinstance(error, NotAllowed):
        return 2, str(error)
    if isinstance(error, ContractError | NotReadable | NotNow | MonthClosed):
        return 1, str(error)
    if isinstance(
        error, LedgerUnavailable | SparkUnavailable | DiskFull | ServicesError | KeysUnavailable | OfficeShut
    ):
        return 3, str(error)
    if isinstance(error, FileNotFoundError) and "secrets" in str(error.filename):
        return 3, "The services were never started here. Run `ledgerlake up` (or `make demo`) first."
    return 70, None


if __name__ == "__main__":
    main()
