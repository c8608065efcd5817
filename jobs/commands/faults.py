"""faults: the scorecard of the faults that the demo bank committed."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from jobs import scorecard as cards
from jobs.bank import open_bank
from jobs.commands.output import BankOption, JsonOption, console, plain, show
from jobs.scorecard import AWAY, CAUGHT, MISSED, OPEN, Scorecard


def register(app: typer.Typer) -> None:
    app.command(epilog="Examples: ledgerlake faults · ledgerlake faults --json")(faults)


def faults(bank: BankOption, as_json: JsonOption = False) -> None:
    """The scorecard: each fault of the catalogue, the control that must catch it, and whether it did, by what ledger and lake say.

    One that was not caught, or a false alarm, gives exit status 1.
    """
    card = cards.scorecard(open_bank(bank))
    show_scorecard(card, as_json)
    if not card.is_good:
        raise typer.Exit(1)


def show_scorecard(card: Scorecard, as_json: bool = False) -> None:
    """A line a fault that was injected, or whose control does not exist yet; what was not injected is named below."""
    if as_json:
        for finding in card.findings:
            print(json.dumps(plain(asdict(finding)), ensure_ascii=False))
        for alarm in card.false_alarms:
            print(json.dumps({"false_alarm": asdict(alarm)}, ensure_ascii=False))
        return
    console.print(card_title(card), highlight=False)
    show(
        [f for f in card.findings if f.verdict != AWAY],
        ["fault", "name", "control", "expected", "verdict", "rows", "money"],
        as_json=False,
        move=["control", "expected"],
        below=lambda f: [" · ".join(part for part in (f["where"], f["found"]) if part)],
    )
    for why in dict.fromkeys(f.found for f in card.findings if f.verdict == AWAY):
        listed = [f.fault for f in card.findings if f.verdict == AWAY and f.found == why]
        console.print(f"{why.capitalize()}: {', '.join(listed)}.", highlight=False)
    rows, money = card.saved
    said = [
        f"{card.count(CAUGHT)} caught", f"{card.count(MISSED)} not caught", f"{card.count(OPEN)} whose control is not built yet",
    ]  # fmt: skip
    console.print(f"\n{', '.join(said)}. Kept out of the figures: {rows:,} rows, {money:,.2f}.", highlight=False)
    if not card.false_alarms:
        console.print("No false alarm: nothing else was refused, held, rejected or reported.", highlight=False)
        return
    console.print(f"{len(card.false_alarms)} false alarms, where nothing was injected:", style="red", highlight=False)
    show(card.false_alarms, ["what", "where"], as_json=False, below=lambda alarm: [alarm["reason"]])


def card_title(card: Scorecard) -> str:
    if not card.days:
        return "No day was run here by the demo bank: `ledgerlake demo --faults all` does it."
    days = f"{card.days[0]} to {card.days[-1]}" if len(card.days) > 1 else str(card.days[0])
    return f"Faults of {days}"
