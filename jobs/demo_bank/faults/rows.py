"""Faults in rows: which rows of a lane they touch, how those are told, and what of it must count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

from jobs.demo_bank.encoding import Row
from jobs.demo_bank.people import FULL_WIDTH, id_check
from jobs.demo_bank.truth import Branch, Day, Event, Product, Record, Transaction

UNKNOWN_CODE, WIDE_CODE = "X9", "ZZ01"
# Characters whose second byte in GBK is a backslash.
BACKSLASH_REMARK = "誠信運費錦旗"
# The second byte of 億 in GBK is that of `|`.
PIPE_NAME = "億@|理财"
MOJIBAKE_REMARK = ";ヂ转账汇款"
PRIVATE_USE = "\ue123"
FE59_REMARK, FE59_MARK = "贵\u9fb4金属", b"<FE59>"
BIG = 2**53 + 1
SOMEBODY = "99110119900307123X"  # an ID number of nobody
ONE_DAY = timedelta(days=1)
DOUBLED = 500  # fen by which the second copy of a movement differs
DROP, BLANK, BOTS = 0.6, 5, 500


class Told(NamedTuple):
    """An item as a file tells it; `fields` changes its fields once they are written down."""

    item: Any
    fields: Callable[[Row], Row] | None = None


class Proof(NamedTuple):
    """Rows that the lake must hold where the fault was taken in as it should be. `where` is SQL over the table's columns; of bronze, only the lane's rows are
    looked at.
    """

    table: str
    where: str
    rows: int


@dataclass
class Change:
    """What a fault does to the rows of a lane, by their place among those that are true.

    `told`: how a row is told; `beside`: rows told beside; `absent`: rows not told. `counts`: what counts in a row's
    place; `counts_beside`: what counts beside; `lost`: rows that do not count. `saved`: what the control keeps out (or
    names). `is_unread`: nobody can read the amounts of `saved`. `duplicates`: rows told once more than they count.
    """

    told: dict[int, Told] = field(default_factory=dict)
    beside: list[Told] = field(default_factory=list)
    absent: set[int] = field(default_factory=set)
    counts: dict[int, Any] = field(default_factory=dict)
    counts_beside: list[Any] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    saved: list[Any] = field(default_factory=list)
    is_unread: bool = False
    duplicates: list[Any] = field(default_factory=list)
    proofs: tuple[Proof, ...] = ()
    restates: date | None = None


@dataclass(frozen=True)
class Lane:
    """The true rows of a lane, of which each fault takes its own. `earlier` gives a day of the past."""

    feed: str
    entity: str
    day: Day
    items: Sequence[Any]
    taken: set[int]
    rng: Random
    fault: str
    earlier: Callable[[date], Day]

    def take(self, wanted: int, fits: Callable[[Any], bool] = lambda _: True, what: str = "rows") -> list[int]:
        """Places of rows that no other fault has. Raises ValueError when there are too few."""
        free = [i for i, item in enumerate(self.items) if i not in self.taken and fits(item)]
        if len(free) < wanted:
            raise ValueError(
                f"{self.fault} needs {wanted} {what} in {self.feed}|{self.entity}; there are {len(free)}. Choose a larger branch."
            )
        chosen = self.rng.sample(free, wanted)
        self.taken.update(chosen)
        return chosen

    def plain(self, wanted: int) -> list[int]:
        return self.take(wanted, is_plain, "plain movements")

    def those(self, chosen: Sequence[int]) -> list[Any]:
        return [self.items[i] for i in chosen]


def is_plain(t: Transaction) -> bool:
    return t.status == "0" and t.reverses is None and t.initiator == "C" and t.is_financial and not t.counterparty


def dearer(t: Transaction, fen: int) -> Transaction:
    return t._replace(fen=t.fen + fen)


def _movement_id(t: Transaction) -> str:
    return f"core:{t.branch_id}:{t.reference}"


def _silver(items: Sequence[Transaction], also: str = "true") -> Proof:
    ids = ", ".join(f"'{_movement_id(t)}'" for t in items)
    return Proof("silver.transactions", f"transaction_id in ({ids}) and {also}", len(items))


def _remarked(lane: Lane, number: int, remark: str) -> Change:
    chosen = lane.plain(number)
    told = {i: Told(lane.items[i]._replace(remark=remark)) for i in chosen}
    return Change(told, proofs=(Proof("bronze.core_transactions", f"remark = '{remark}'", number),))


def _rejected(lane: Lane, number: int, change: Callable[[Any], Any]) -> Change:
    chosen = lane.plain(number)
    told = {i: Told(change(lane.items[i])) for i in chosen}
    return Change(told, lost=set(chosen), saved=lane.those(chosen))


def _pipe_in_character(lane: Lane) -> Change:
    [i] = lane.take(1, lambda p: isinstance(p, Product))
    told = Told(lane.items[i]._replace(name=PIPE_NAME))
    return Change({i: told}, proofs=(Proof("bronze.core_products", f"product_name = '{PIPE_NAME}'", 1),))


def _private_use(lane: Lane) -> Change:
    [i] = lane.take(1, lambda r: isinstance(r, Record) and r.kind == "1", "persons")
    changed = lane.items[i]._replace(name=lane.items[i].name + PRIVATE_USE)
    return Change({i: Told(changed)}, lost={i}, saved=[lane.items[i]])


def _fe59(lane: Lane) -> Change:
    change = _remarked(lane, 1, FE59_REMARK)
    mark = FE59_REMARK.replace("\u9fb4", FE59_MARK.decode())
    return Change({i: Told(t.item._replace(remark=mark)) for i, t in change.told.items()}, proofs=change.proofs)


def _bom_nul_fullwidth(lane: Lane) -> Change:
    wide, nul = lane.plain(2)
    in_full_width = Told(lane.items[wide], lambda row: (*row[:13], row[13].translate(FULL_WIDTH), *row[14:]))
    return Change(
        {wide: in_full_width, nul: Told(lane.items[nul]._replace(remark="转账\0汇款"))},
        lost={nul}, saved=[lane.items[nul]], is_unread=True, proofs=(_silver([lane.items[wide]]),),
    )  # fmt: skip


def _one_unread(lane: Lane) -> Change:
    """A row whose bytes are spoilt in the file (see files.py), so that it cannot be read."""
    [i] = lane.take(1)
    return Change({i: Told(lane.items[i])}, lost={i}, saved=[lane.items[i]], is_unread=True)


def _extra_delimiter(lane: Lane) -> Change:
    change = _rejected(lane, 1, lambda t: t._replace(remark="转账\x1b汇款"))
    change.is_unread = True
    return change


def _empty(lane: Lane) -> Change:
    return Change(absent=set(range(len(lane.items))), lost=set(range(len(lane.items))))


def _resend(lane: Lane) -> Change:
    chosen = lane.plain(3)
    return Change({i: Told(lane.items[i]) for i in chosen}, saved=lane.those(chosen))


def _unknown_code(lane: Lane) -> Change:
    return _rejected(lane, 3, lambda t: t._replace(code=UNKNOWN_CODE))


def _wide_code(lane: Lane) -> Change:
    return _rejected(lane, 2, lambda t: t._replace(code=WIDE_CODE))


def _mojibake(lane: Lane) -> Change:
    return _rejected(lane, 1, lambda t: t._replace(remark=MOJIBAKE_REMARK))


def _duplicates(lane: Lane) -> Change:
    equal, different = lane.plain(2)
    first, other = lane.items[different], dearer(lane.items[different], DOUBLED)
    return Change(
        beside=[Told(lane.items[equal]), Told(other)], lost={different}, saved=[first, other],
        duplicates=[lane.items[equal]],
    )  # fmt: skip


def _trailing_minus(lane: Lane) -> Change:
    [i] = lane.take(1)
    fee = -12_345  # fen
    told = Told(lane.items[i]._replace(fee=fee))
    where = f"rrn = '{lane.items[i].rrn}' and fee = -123.45"
    return Change({i: told}, proofs=(Proof("bronze.card_transactions", where, 1),))


def _two_digit_year(lane: Lane) -> Change:
    """The pivot is 1950: 50 is the first year of the range, 49 its last, a century later."""
    old, young = lane.take(2)
    opened = {old: date(1950, 1, 2), young: date(2049, 1, 2)}
    proofs = (
        Proof("bronze.core_legacy", f"account_no = '{lane.items[i].account_no}' and opened_on = date '{on}'", 1)
        for i, on in opened.items()
    )
    told = {i: Told(lane.items[i]._replace(opened_on=on)) for i, on in opened.items()}
    return Change(told, proofs=tuple(proofs))


def _new_movement(lane: Lane, like: Transaction, number: int, **other: Any) -> Transaction:
    """A movement that the day did not have, with a journal number of its own (`number` keeps several apart)."""
    journal = max(t.journal for t in lane.items) + 1_000 * int(lane.fault[1:]) + number
    return like._replace(journal=journal, line=1, **other)


def _back(t: Transaction) -> dict[str, Any]:
    """What makes a movement the reversal (红冲) of another."""
    turned = "D" if t.direction == "J" else "J"
    return {"code": "CZ", "initiator": "S", "operator": "T", "direction": turned, "reverses": t.reference}


def _reversed_same_day(lane: Lane) -> Change:
    """A movement and its reversal: together they are nothing, and the account's balance stays as it is."""
    [i] = lane.take(1, lambda t: is_plain(t) and t.currency == "CNY", "plain movements in CNY")
    made = _new_movement(lane, lane.items[i], 1)
    undone = _new_movement(lane, made, 2, **_back(made))
    where = f"original_id = '{_movement_id(made)}' and amount = {made.fen / 100:.2f}"
    proofs = (_silver([made, undone]), Proof("silver.reversals", where, 1))
    return Change(beside=[Told(made), Told(undone)], counts_beside=[made, undone], proofs=proofs)


def _reversed_next_month(lane: Lane) -> Change:
    """A movement of a month that is closed is reversed, and posted anew (补记): the account's balance stays as it is."""
    closed = lane.day.date.replace(day=1) - 3 * ONE_DAY
    known = {t.account.account_no for t in lane.items}
    past = [
        t
        for t in lane.earlier(closed).transactions
        if t.branch_id == lane.entity and is_plain(t) and t.currency == "CNY" and t.account.account_no in known
    ]
    if not past:
        raise ValueError(f"{lane.fault} needs a movement of {closed} in {lane.entity} by a customer who moves today.")
    original = lane.rng.choice(past)
    at = datetime.combine(lane.day.date, time(15, 0))
    today = {"at": at, "business_date": lane.day.date}
    undone = _new_movement(lane, original, 1, **_back(original), **today)
    anew = _new_movement(lane, original, 2, **today)
    proofs = (
        _silver([undone, anew]),
        Proof("silver.reversals", f"original_id = '{_movement_id(original)}'", 1),
    )
    return Change(beside=[Told(undone), Told(anew)], counts_beside=[undone, anew], proofs=proofs, restates=closed)


def _orphan_reversal(lane: Lane) -> Change:
    """A reversal that names a journal of the day which nobody wrote."""
    [i] = lane.take(1, lambda t: is_plain(t) and t.currency == "CNY", "plain movements in CNY")
    nobody = _new_movement(lane, lane.items[i], 1)._replace(journal=999_999)
    orphan = _new_movement(lane, nobody, 2, **_back(nobody))
    # As a movement it counts: it is what it takes back that nobody finds.
    return Change(beside=[Told(orphan)], counts_beside=[orphan], saved=[orphan])


def _dropped(lane: Lane, fits: Callable[[Transaction], bool], what: str, kind: str, subject: str) -> Change:
    """A movement that is not told; two sides of it differ then. `subject` names them by the movement's fields."""
    [i] = lane.take(1, fits, what)
    told = subject.format(t=lane.items[i])
    where = (
        f"kind = '{kind}' and subject = '{told}' and disagrees is not null and business_date = date '{lane.day.date}'"
    )
    proofs = (Proof("silver.reconciliations", where, 1),)
    return Change(absent={i}, lost={i}, saved=[lane.items[i]], proofs=proofs)


def _movement_dropped(lane: Lane) -> Change:
    return _dropped(lane, is_plain, "plain movements", "account_day", "core:{t.account.account_no}")


def _credit_dropped(lane: Lane) -> Change:
    pair = "core:{t.counterparty}>core:{t.account.account_no}"
    return _dropped(lane, lambda t: t.line == 2, "internal transfers", "internal_transfer", pair)


def _sale_not_posted(lane: Lane) -> Change:
    return _dropped(lane, lambda t: bool(t.sale_id), "registrations of sales", "sale_posting", "sales:{t.sale_id}")


def _ledger_off(lane: Lane) -> Change:
    """A subject is off by 100.00 from the sum of its accounts."""
    [i] = lane.take(1, lambda b: b.has_sub_ledger, "subjects with accounts")
    return Change({i: Told(lane.items[i]._replace(closing=lane.items[i].closing + 10_000))})


def _told_at(lane: Lane, clock: time) -> Change:
    """A movement that began on the evening before: its business date stays."""
    [i] = lane.plain(1)
    at = datetime.combine(lane.day.date - ONE_DAY, clock)
    item = lane.items[i]._replace(at=at)
    also = f"business_date = date '{lane.day.date}' and event_time = timestamptz '{at}+08'"
    return Change({i: Told(item)}, counts={i: item}, proofs=(_silver([item], also),))


def _cross_midnight(lane: Lane) -> Change:
    return _told_at(lane, time(23, 59, 30))


def _evening_open(lane: Lane) -> Change:
    return _told_at(lane, time(20, 40))


def _event(lane: Lane, fits: Callable[[Event], bool] = lambda e: True) -> Event:
    """An event of a visitor: it changes no figure of customers."""
    [i] = lane.take(1, lambda e: not e.customer_no and not e.is_bot and not e.is_test and fits(e), "visitors' events")
    return lane.items[i]


def _event_thrice(lane: Lane) -> Change:
    event = _event(lane)
    proof = Proof("silver.channel_events", f"event_id = 'app:{event.event_id}'", 1)
    return Change(beside=[Told(event)] * 2, duplicates=[event] * 2, proofs=(proof,))


def _event_id_reused(lane: Lane) -> Change:
    first = _event(lane)
    other = first._replace(name="crash" if first.name != "crash" else "query")
    return Change(beside=[Told(other)], lost={lane.items.index(first)}, saved=[first, other])


def _event_late(lane: Lane) -> Change:
    event = _event(lane)
    late = event._replace(event_id=f"{event.event_id}late", at=event.at - 3 * ONE_DAY)
    where = f"event_id = 'app:{late.event_id}' and business_date = date '{late.at.date()}'"
    return Change(
        beside=[Told(late)], proofs=(Proof("silver.channel_events", where, 1),), restates=late.at.date()
    )  # fmt: skip


def _bots(lane: Lane) -> Change:
    """One visitor, 500 events within one minute, which the sender does not call a bot."""
    event = _event(lane)
    start = event.at.replace(second=0)
    made = [
        event._replace(
            event_id=f"{event.event_id}b{n}", at=start + timedelta(milliseconds=n * 100), session_id="bots-session"
        )
        for n in range(BOTS)
    ]
    proof = Proof("silver.channel_events", f"event_id like 'app:{event.event_id}b%' and is_bot", BOTS)
    return Change(beside=[Told(e) for e in made], counts_beside=made, proofs=(proof,))


def _told_with(lane: Lane, part: str, name: str, value: Any, proof: Callable[[Event], Proof]) -> Change:
    """An event one field of which is another: `part.name` of its JSON."""
    event = _event(lane)

    def fields(row: Row) -> Row:
        return {**row, part: {**row[part], name: value}} if part else {**row, name: value}

    return Change({lane.items.index(event): Told(event, fields)}, proofs=(proof(event),))


def _big_integer(lane: Lane) -> Change:
    def proof(e: Event) -> Proof:
        return Proof("silver.channel_events", f"event_id = 'app:{e.event_id}' and event_no = {BIG}", 1)

    return _told_with(lane, "event", "no", BIG, proof)


def _typo(lane: Lane) -> Change:
    def proof(e: Event) -> Proof:
        return Proof("silver.channel_events", f"event_id = 'app:{e.event_id}' and device_os = 'android'", 1)

    return _told_with(lane, "device", "os", "andriod", proof)


def _unknown_version(lane: Lane) -> Change:
    event = _event(lane)
    i = lane.items.index(event)
    return Change({i: Told(event, lambda row: {**row, "v": 4})}, lost={i}, saved=[event])


def _clock_ahead(lane: Lane) -> Change:
    """The device's clock is a day ahead; the collector's says when it was."""
    event = _event(lane, lambda e: not e.clock_off)
    ahead = event._replace(clock_off=86_400)
    where = f"event_id = 'app:{event.event_id}' and event_time = timestamptz '{event.at}+08' and is_clock_wrong"
    return Change({lane.items.index(event): Told(ahead)}, proofs=(Proof("silver.channel_events", where, 1),))


def _stitched(lane: Lane) -> Change:
    """A visitor looks around half a minute before the login of the same session."""
    [i] = lane.take(
        1,
        lambda e: e.customer_no and e.name == "login" and not e.is_bot and not e.is_test and e.at.minute > 0,
        "logins",
    )
    login = lane.items[i]
    visit = login._replace(
        event_id=f"{login.event_id}visit", name="query", customer_no=None, at=login.at - timedelta(seconds=30)
    )
    where = f"event_id = 'app:{visit.event_id}' and customer_key = 'core:{login.customer_no}' and is_stitched"
    counted = visit._replace(customer_no=login.customer_no)
    return Change(
        beside=[Told(visit)], counts_beside=[counted], proofs=(Proof("silver.channel_events", where, 1),)
    )  # fmt: skip


def _id_in_url(lane: Lane) -> Change:
    event = _event(lane)
    asked = event._replace(page=f"/apply?step=2&idcard={SOMEBODY}")
    of_event = f"event_id = '{event.event_id}' and page_url like '/apply?step=2&idcard=%'"
    proofs = (
        Proof("bronze.app_events", of_event, 1),
        Proof("bronze.app_events", f"page_url like '%{SOMEBODY}%'", 0),
    )
    return Change({lane.items.index(event): Told(asked)}, proofs=proofs)


def _bad_id(lane: Lane) -> Change:
    [i] = lane.take(
        1, lambda r: r.kind == "1" and len(r.id_number) == 18 and r.id_number.isascii(), "persons with an ID number"
    )
    number = lane.items[i].id_number
    wrong = number[:17] + ("1" if id_check(number[:17]) != "1" else "2")
    changed = lane.items[i]._replace(id_number=wrong)
    where = f"customer_no = '{changed.customer_no}' and not id_number_valid"
    return Change({i: Told(changed)}, counts={i: changed}, proofs=(Proof("bronze.core_customers", where, 1),))  # fmt: skip


def _blank_key_field(lane: Lane) -> Change:
    chosen = lane.take(max(1, len(lane.items) // BLANK))
    return Change({i: Told(lane.items[i]._replace(merchant="")) for i in chosen}, saved=lane.those(chosen))


def _default_birth_date(lane: Lane) -> Change:
    told: dict[int, Told] = {}
    for i, record in enumerate(lane.items):
        if record.kind == "1":
            first17 = f"{record.id_number[:6]}19000101{i:03d}"
            told[i] = Told(record._replace(id_number=first17 + id_check(first17)))
    if not told:
        raise ValueError(
            f"{lane.fault} needs a person in {lane.feed}|{lane.entity}; there is none. Choose a larger branch."
        )
    return Change(told, saved=list(lane.items))


def _volume_drop(lane: Lane) -> Change:
    free = [i for i in range(len(lane.items)) if i not in lane.taken]
    absent = set(lane.rng.sample(free, min(len(free), round(len(lane.items) * DROP))))
    return Change(absent=absent, lost=absent, saved=lane.those(sorted(absent)))


def _volume_double(lane: Lane) -> Change:
    return Change(beside=[Told(item) for item in lane.items], duplicates=list(lane.items))


def _branch_moves(lane: Lane) -> Change:
    [i] = lane.take(1, lambda b: isinstance(b, Branch) and b.branch_id == "b04")
    told = Told(lane.items[i], lambda row: (*row[:3], "b01", *row[4:]))
    day = lane.day.date
    where = "branch_id = 'b04' and parent_branch_id {} 'b01' and valid_from {} date '{}'"
    proofs = (
        Proof("silver.branches", where.format("=", "=", day), 1),
        Proof("silver.branches", where.format("<>", "<", day), 1),
    )
    return Change({i: told}, proofs=proofs)


def _fen_as_yuan(lane: Lane) -> Change:
    told = {
        i: Told(item, lambda row: (*row[:5], f"{int(row[5]) * 100:018d}", *row[6:])) for i, item in enumerate(lane.items)
    }  # fmt: skip
    return Change(told)


ROWS: dict[str, Callable[[Lane], Change]] = {
    "F03": _pipe_in_character,
    "F04": lambda lane: _remarked(lane, 2, BACKSLASH_REMARK),
    "F05": _private_use,
    "F06": _fe59,
    "F07": _mojibake,
    "F08": _bom_nul_fullwidth,
    "F09": _one_unread,
    "F10": _extra_delimiter,
    "F18": _empty,
    "F19": _resend,
    "F29": _wide_code,
    "F30": _unknown_code,
    "F33": _one_unread,
    "F35": _trailing_minus,
    "F36": _two_digit_year,
    "F37": _duplicates,
    "F38": _reversed_same_day,
    "F39": _reversed_next_month,
    "F40": _orphan_reversal,
    "F41": _ledger_off,
    "F42": _movement_dropped,
    "F43": _credit_dropped,
    "F44": _cross_midnight,
    "F45": _evening_open,
    "F47": _event_thrice,
    "F48": _event_id_reused,
    "F49": _event_late,
    "F50": _clock_ahead,
    "F51": _stitched,
    "F52": _bots,
    "F53": _unknown_version,
    "F54": _big_integer,
    "F55": _id_in_url,
    "F56": _typo,
    "F58": _bad_id,
    "F61": _blank_key_field,
    "F62": _default_birth_date,
    "F63": _volume_drop,
    "F64": _volume_double,
    "F65": _sale_not_posted,
    "F71": _branch_moves,
    "F73": _fen_as_yuan,
    "F80": _one_unread,
}
