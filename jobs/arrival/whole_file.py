"""A file as a whole: what its signal and its trailer state, against what was read of it."""

from __future__ import annotations

from jobs.arrival.doorbell import has_settled
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.inbox import Arrived
from jobs.arrival.intake import Intake
from jobs.arrival.totals import Stated, compare, stated_in_signal


class StillWriting(Exception):
    """The file is not whole yet and was changed a moment ago."""


def wrong_with(intake: Intake, arrived: Arrived, settle_seconds: float) -> Refused | None:
    """What is wrong with the file as a whole; None if nothing. The signal's hash comes first: it tells a cut file
    from a wrong one. Raises StillWriting.
    """
    try:
        signal = stated_in_signal(arrived.signal.text, arrived.name) if arrived.signal else Stated()
    except Refused as refusal:
        return refusal
    wrong_hash = signal.sha256 is not None and signal.sha256 != intake.sha256
    short = signal.size is not None and intake.size < signal.size
    long = signal.size is not None and intake.size > signal.size
    cut = isinstance(intake.refusal, Cut) or short
    # A signal that came first may be that of the file before, which this one is being written over.
    if (cut or ((wrong_hash or long) and not intake.ends_itself)) and not has_settled(arrived, settle_seconds):
        raise StillWriting
    if cut:
        return _truncated(intake, signal)
    if wrong_hash:
        return Refused(
            "ok_hash",
            f"The signal states SHA-256 {signal.sha256}, the {intake.size} bytes of the file have {intake.sha256}. "
            "Expected equal hashes; ask the sender for the file and its signal again.",
        )
    if intake.refusal:
        return intake.refusal
    if long:
        return Refused(
            "signal_bytes",
            f"The signal states {signal.size} bytes, and {intake.size} came: {intake.size - (signal.size or 0)} too many. "
            "Expected as many as it states; ask the sender for the file and its signal again.",
        )
    try:
        compare(intake.totals, intake.stated, "trailer")
        compare(intake.totals, signal, "signal")
    except Refused as refusal:
        return refusal
    if intake.totals.without_money and (intake.stated.money is not None or signal.money is not None):
        intake.notes["rows whose amount cannot be read, so that the stated sum was not compared"] = (
            intake.totals.without_money
        )
    intake.stated = Stated(
        signal.rows if intake.stated.rows is None else intake.stated.rows,
        signal.money if intake.stated.money is None else intake.stated.money,
        signal.sha256,
    )
    return None


def _truncated(intake: Intake, signal: Stated) -> Refused:
    """What is missing of a file that ended too early: bytes that were announced and that came, the last line that is whole."""
    cut = intake.refusal if isinstance(intake.refusal, Cut) else None
    found = cut.reason if cut else "The file is shorter than announced. Expected the whole file; send it again."
    bytes_ = f"{intake.size} bytes came" + (f" of {signal.size} that the signal states" if signal.size else "")
    if cut and cut.last_whole_line is not None:
        lines = f"; whole are {cut.last_whole_line} lines"
    else:
        lines = f"; the last record that could be read stands in line {intake.last_line}" if intake.last_line else ""
    return Refused("truncated", f"{found} {bytes_}{lines}.")
