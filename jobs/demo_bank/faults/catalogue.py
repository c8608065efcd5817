"""The catalogue: every fault once, with the control that must catch it, what must come of it, and where `all` commits it."""

from __future__ import annotations

from typing import NamedTuple

BRANCH_FEEDS = ("core_customers", "core_accounts", "core_balances", "core_transactions", "core_gl")
# Outcomes by which a whole lane does not count.
LOSES_LANE = ("refused", "missing", "held")
# Outcomes, and faults in rows, because of which general ledger and accounts of a branch differ: these feeds of the branch and day are not built from.
KEEPS_OUT, DIFFERS = ("core_gl", "core_balances", "core_transactions"), ("F09", "F41")
NOT_BUILT = "not_built"


class Kind(NamedTuple):
    """`control` catches it; `outcome` is the state of the delivery, or of the rows:

    refused, missing, held, superseded, ignored_duplicate: the delivery's state, with a case or an alert;
    kept_out: the branch's day is not built from; rejected, duplicate: the rows' verdict; accepted: taken in, and told right; noted: the delivery says so;
    warned: a gate says so; restated: a day that was released is told anew; unchanged: nothing counts twice or is lost;
    unreachable: the source did not answer, and somebody was told; afterwards all of it came; expected: the calendar owes the day; not_built: its control does not exist yet.

    `causes`: what the ledger may name it. `day`: the working day of `all`, counted from its first. `comes`: days after its
    business date on which the file comes.
    """

    name: str
    control: str
    outcome: str
    feeds: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    spoils_file: bool = True
    day: int = 0
    comes: int = 0


def _file(name: str, control: str, outcome: str, place: str, *causes: str, day: int = 0, comes: int = 0) -> Kind:
    """A fault of a file as a whole; `place` is "feed|entity"."""
    feed, _, entity = place.partition("|")
    return Kind(name, control, outcome, (feed,), (entity,), causes, True, day, comes)


def _rows(name: str, control: str, outcome: str, place: str, *causes: str, day: int = 0) -> Kind:
    """A fault of some rows of a file; several may meet in one."""
    return _file(name, control, outcome, place, *causes, day=day)._replace(spoils_file=False)


def _open(name: str, control: str) -> Kind:
    return Kind(name, control, NOT_BUILT)


MOVES, EVENTS, CARDS, MARKET, PARAMS = "core_transactions", "app_events|app", "card_transactions|HO", "market_rates|HO", "core_params|HO"  # fmt: skip
KINDS: dict[str, Kind] = {
    # Encoding
    "F01": _file("bad_byte", "strict decoding", "refused", "core_customers|b02", "bad_byte"),
    "F02": _file("gbk_as_gb18030", "strict decoding, and back", "refused", "core_gl|b01", "bad_byte", "round_trip", day=1),
    "F03": _rows("pipe_in_character", "decode before split", "accepted", "core_products|HO", day=1),
    "F04": _rows("backslash_in_character", "decode before split", "accepted", f"{MOVES}|b01"),
    "F05": _rows("private_use_name", "text that can be read", "rejected", "core_customers|b01", "name_legible", day=1),
    "F06": _file("fe59_character", "one mapping table", "accepted", f"{MOVES}|b01", day=1),
    "F07": _rows("mojibake_line", "text that can be read", "rejected", f"{MOVES}|b01", "remark_legible", day=3),
    "F08": _file("bom_nul_fullwidth", "normaliser", "rejected", f"{MOVES}|b02", "malformed_line", "remark_unreadable", day=1),
    "F09": _file("cut_inside_character", "bytes are sliced before they are decoded", "rejected", "core_balances|b04", "malformed_line", day=1),
    "F10": _rows("extra_delimiter", "count of columns", "rejected", f"{MOVES}|b01", "malformed_line", day=1),
    # Files and their signals
    "F11": _file("trailer_count", "control total", "refused", f"{MOVES}|b03", "trailer_count"),
    "F12": _file("trailer_sum", "control total", "refused", f"{MOVES}|b04", "trailer_sum"),
    "F13": _file("ok_hash", "hash of the signal", "refused", "core_accounts|b02", "ok_hash"),
    "F14": _file("no_ok", "roll-call", "missing", "core_accounts|b03"),
    "F15": _file("ok_first", "waits for the file", "accepted", "core_balances|b01"),
    "F16": _file("growing", "waits for size and hash", "accepted", "core_balances|b02"),
    "F17": _file("truncated", "trailer or hash", "refused", "core_balances|b04", "truncated", "no_trailer", "trailer_unreadable", "signal_count", "signal_hash"),
    "F18": _rows("empty_valid", "trailer of an empty file", "accepted", CARDS, day=1),
    "F19": _file("resend_changed", "version of the lane", "superseded", f"{MOVES}|b02"),
    "F20": _file("resend_same", "hash in the ledger", "ignored_duplicate", "core_accounts|b01", "same_bytes"),
    "F21": _file("late_after_close", "late deliveries restate their day", "restated", "core_balances|b03", comes=4),
    "F22": _file("out_of_order", "days in any order", "restated", f"{MOVES}|b06", day=1, comes=1),
    "F23": Kind("partial_branches", "coverage", "missing", BRANCH_FEEDS, ("b05", "b06")),
    "F24": _file("wrong_branch", "branch of header and rows", "refused", "core_accounts|b04", "wrong_branch", day=1),
    "F25": _file("wrong_date", "date of the rows", "refused", "core_customers|b01", "wrong_date"),
    "F26": _file("column_added", "schema drift", "noted", MARKET, "held back"),
    "F27": _file("column_removed", "schema drift", "refused", MARKET, "column_removed", day=1),
    "F28": _file("column_reordered", "columns by their names", "accepted", MARKET, day=2),
    "F29": _rows("type_widened", "code list", "rejected", f"{MOVES}|b02", "transaction_code_known", day=2),
    "F30": _rows("unknown_code", "code list", "rejected", f"{MOVES}|b01", "transaction_code_known"),
    # Archives and the mainframe
    "F31": _rows("zip_slip", "archive guard", "refused", PARAMS, "unsafe_member"),
    "F32": _rows("zip_bomb", "archive guard", "refused", PARAMS, "bomb"),
    "F33": _file("bad_packed", "copybook decoder", "rejected", "core_legacy|11", "malformed_line", "balance_unreadable"),
    "F34": _file("rdw_length", "lengths of the records", "refused", "core_legacy|37", "record_length", "truncated"),
    "F35": _rows("trailing_minus", "parser of the amount", "accepted", CARDS),
    "F36": _rows("two_digit_year", "declared pivot year", "accepted", "core_legacy|11", day=1),
    # Rows and money
    "F37": _rows("duplicate_rows", "uniqueness", "rejected", f"{MOVES}|b01", "primary_key_unique"),
    "F38": _rows("reversal_same_day", "a reversal nets its original", "accepted", f"{MOVES}|b01", day=1),
    "F39": _rows("reversal_next_month", "a reversal restates its original's day", "restated", f"{MOVES}|b01", day=2),
    "F40": _rows("orphan_reversal", "reversals without an original", "rejected", f"{MOVES}|b02", "reversals_have_an_original", day=2),
    "F41": _rows("gl_break", "general ledger = sum of the accounts", "kept_out", "core_gl|b05", "agrees_with_core_balances", day=2),
    "F42": _rows("running_balance", "opening + movements = closing, by account and day", "warned", f"{MOVES}|b02", "account_days_close", day=2),
    "F43": _rows("one_sided_transfer", "both sides of a transfer sum to nothing", "warned", f"{MOVES}|b01", "transfers_have_two_sides", day=3),
    "F44": _rows("cross_midnight", "business date", "accepted", f"{MOVES}|b01", day=1),
    "F45": _rows("evening_open", "business date", "accepted", f"{MOVES}|b01", day=2),
    "F46": Kind("makeup_weekend", "official calendar", "expected"),
    # Online events
    "F47": _rows("event_duplicate", "one row an event", "duplicate", EVENTS, day=1),
    "F48": _rows("event_id_reused", "one payload an event", "rejected", EVENTS, "primary_key_unique", day=2),
    "F49": _rows("event_late_3d", "late events restate their day", "restated", EVENTS, day=3),
    "F50": _rows("clock_skew", "time corrected by the collector's clock", "accepted", EVENTS, day=1),
    "F51": _rows("anonymous_stitch", "login stitches the session", "accepted", EVENTS, day=2),
    "F52": _rows("bot_traffic", "rate of a session", "accepted", EVENTS, day=3),
    "F53": _rows("json_v4", "known schema versions", "rejected", EVENTS, "schema_version_known", day=1),
    "F54": _rows("big_integer", "numbers as they were written", "accepted", EVENTS, day=1),
    "F55": _rows("pii_in_url", "patterns of personal data", "accepted", EVENTS, day=2),
    "F56": _rows("typo_value", "synonyms", "accepted", EVENTS, day=3),
    # People and content
    "F57": _file("c3_column", "forbidden columns", "refused", MARKET, "c3_column", day=3),
    "F58": _rows("bad_id_checksum", "check of the ID number", "accepted", "core_customers|b01", day=3),
    "F59": _open("two_ids_one_phone", "guard of matching"),
    "F60": _open("id_shared", "steward"),
    "F61": _rows("null_key_field", "share of rows with a value", "held", CARDS, "merchant_mostly_given", day=2),
    "F62": _rows("default_value", "share of a default value", "held", "core_customers|b01", "birth_date_no_default", day=2),
    "F63": _rows("volume_drop", "volume against the same weekday", "warned", f"{MOVES}|b02", "usual_volume", day=3),
    "F64": _rows("volume_double", "uniqueness", "duplicate", f"{MOVES}|b04", day=2),
    "F65": _rows("sale_not_posted", "two-sided reconciliation", "warned", f"{MOVES}|b01", "sales_are_registered", day=3),
    "F66": _open("sale_without_warning", "acknowledgements before the sale"),
    "F67": _open("consent_withdrawn", "consents of the date"),
    "F68": _open("erased_customer_returns", "tombstones"),
    "F69": _open("promised_return", "words of a campaign"),
    "F70": _open("negative_list_purpose", "negative list"),
    "F71": _rows("branch_moves", "history of the branches", "accepted", "core_branches|HO", day=2),
    "F72": _open("customer_moves", "branch of the event"),
    "F73": _rows("fen_as_yuan", "control total", "refused", "core_balances|b03", "trailer_sum", "signal_sum", day=1),
    # Processes
    "F74": Kind("kill_mid_write", "a batch is written once, whoever goes on", "unchanged", day=3),
    "F75": Kind("two_runs_at_once", "claim and lease", "unchanged"),
    "F76": Kind("source_down", "a source that does not answer moves nothing", "unreachable", ("complaints", "campaign_contacts"), ("crm",), ("source_down",), day=1),
    "F77": _rows("db_row_deleted", "change capture", "accepted", "complaints|crm", day=2),
    "F78": _rows("watermark_tie", "the overlap of two looks", "accepted", "campaign_contacts|crm", day=3),
    "F79": _open("log_tampered", "hash chain"),
    "F80": _file("xlsx_text_number", "typed cells", "rejected", "branch_costs|11", "malformed_line", "amount_unreadable"),
}  # fmt: skip
