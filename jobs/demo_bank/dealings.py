"""What customers do beside their accounts on one business day: sales, events of the online channels, processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from random import Random

from jobs.demo_bank.activity import CHANNEL_MIX, amount_of, rng_of
from jobs.demo_bank.codes import PRODUCTS
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import Event, Process, Record, Sale, Step

EVENT_NAMES = ("query", "query", "transfer", "pay", "apply", "sign", "push_receipt", "background_refresh", "crash")
FUNNEL_STEPS = ("甄选", "撮合", "价格匹配", "交易")
PROCESSES = (
    ("account_open", "CX", ("apply", "identify", "review", "sign")),
    ("loan_apply", "XD", ("apply", "documents", "review", "decide", "sign")),
    ("card_loss", "ZF", ("report", "block")),
    ("policy_claim", "BX", ("report", "documents", "review", "pay_out")),
    ("fund_open", "JJ", ("apply", "risk_test", "sign")),
)


def _sales_begun(seed: int, people: Population, day: date) -> list[tuple[Sale, int]]:
    """The sales of a day, each with the number of days after which it is cancelled (0 = never)."""
    rng = rng_of(seed, "sales", day)
    made = []
    for number in range(people.scale.sales):
        record = people.records[rng.randrange(people.base_records)]
        names, weights = CHANNEL_MIX[record.habit]
        complete = rng.choices(names, weights=weights)[0]
        origin = "SJ" if complete == "01" and rng.random() < 0.2 else complete
        product = rng.choice(PRODUCTS)
        accounts = people.accounts_of.get(record.customer_no, [])
        at = datetime.combine(day, time()) + timedelta(seconds=300 + rng.randrange(85_500))
        sale = Sale(
            f"S{day:%Y%m%d}{number:05d}",
            record.customer_no,
            accounts[0].account_no if accounts and rng.random() < 0.8 else None,
            product,
            record.branch_id,
            origin,
            complete,
            rng.random() < 0.95,
            amount_of(rng, 8.0),
            "failed" if rng.random() < 0.04 else "completed",
            at,
            day,
            None,
            None,
            f"LD{rng.randrange(9999):04d}" if rng.random() < 0.1 else None,
            f"CP{rng.randrange(9):02d}" if rng.random() < 0.2 else None,
            rng.choice((None, "shopping", "travel", "medical")),
            product.line in ("JJ", "BX"),
        )
        cancelled = rng.choice((1, 2)) if rng.random() < 0.06 and sale.status == "completed" else 0
        made.append((sale, cancelled))
    return made


def sales(seed: int, people: Population, day: date) -> list[Sale]:
    """Sales of a day, and cancellations of the two days before within the cooling-off period."""
    made = [sale for sale, _ in _sales_begun(seed, people, day)]
    for back in (1, 2):
        earlier = day - timedelta(days=back)
        if earlier < people.first:
            continue
        for sale, cancelled in _sales_begun(seed, people, earlier):
            if cancelled == back:
                at = datetime.combine(day, time(10)) + timedelta(seconds=int(sale.sale_id[-5:]))
                made.append(
                    sale._replace(
                        sale_id=f"{sale.sale_id}R",
                        at=at,
                        business_date=day,
                        reverses=sale.sale_id,
                        reverses_date=earlier,
                        is_customer_initiated=True,
                    )
                )
    return sorted(made, key=lambda s: (s.at, s.sale_id))


def events(seed: int, people: Population, day: date, count: int) -> list[Event]:
    """Sessions of customers, of people who never log in, of test users and of bots."""
    rng = rng_of(seed, "events", day)
    made: list[Event] = []
    session = 0
    while len(made) < count:
        session += 1
        record = _visitor(rng, people)
        draw = rng.random()
        made += _session(
            rng,
            people,
            day,
            session,
            record,
            is_anonymous=draw < 0.08,
            is_bot=draw > 0.99,
            is_test=0.985 < draw <= 0.99,
            is_staff=0.98 < draw <= 0.985,
        )
    return sorted(made[:count], key=lambda e: (e.at, e.event_id))


def _visitor(rng: Random, people: Population) -> Record:
    for _ in range(10):
        record = people.records[int(rng.random() ** 1.3 * people.base_records)]
        if record.habit != "counter":
            break
    return record


def _session(
    rng: Random,
    people: Population,
    day: date,
    number: int,
    record: Record,
    *,
    is_anonymous: bool,
    is_bot: bool,
    is_test: bool,
    is_staff: bool,
) -> Iterator[Event]:
    """Some look around before they log in; a few have a clock that is a day ahead, or some minutes behind."""
    start = datetime.combine(day, time()) + timedelta(seconds=300 + rng.randrange(82_000))
    channel = rng.choices(("SJ", "XCX", "WY"), weights=(78, 12, 10))[0]
    name = f"{day:%Y%m%d}-{number:06d}"
    length = 60 if is_bot else rng.randrange(2, 10)
    funnel = rng.randrange(1, 5) if rng.random() < 0.15 and not is_anonymous else 0
    device = record.device_id
    version = rng.choice(("7.2.0", "7.2.1", "7.3.0"))
    looks_around = rng.choice((1, 2)) if rng.random() < 0.1 and not is_bot else 0
    clock_off = rng.choice((86_400, -200)) if rng.random() < 0.02 else 0
    for i in range(length):
        is_known = not is_anonymous and i >= looks_around
        what = "login" if i == looks_around and is_known else rng.choice(EVENT_NAMES)
        at = start + timedelta(seconds=i * (1 if is_bot else 17), milliseconds=rng.randrange(1000))
        step = ("product_purchase", f"F{name}", i, i == len(FUNNEL_STEPS)) if 1 <= i <= funnel else None
        yield Event(
            f"E{name}-{i:02d}",
            what,
            at,
            record.customer_no if is_known else None,
            # Drawn from the device once, by the app; it tells nothing of the device's own number.
            f"A{sha256(record.device_id.encode()).hexdigest()[:12]}",
            is_test,
            f"W{name}",
            is_bot,
            channel,
            version,
            device,
            step,
            start,
            number * 100 + i,
            is_staff,
            clock_off,
            f"/{what}?from={channel}&tab={i}" if channel == "WY" else None,
        )


def processes(seed: int, people: Population, day: date) -> list[Process]:
    """Processes that ended on this day, begun the same day or up to three days before."""
    rng = rng_of(seed, "processes", day)
    made = []
    for number in range(people.scale.processes):
        record = people.records[rng.randrange(people.base_records)]
        process_id, line, codes = rng.choice(PROCESSES)
        online = record.habit != "counter" and rng.random() < 0.7
        ended = datetime.combine(day, time(9)) + timedelta(seconds=rng.randrange(50_000))
        submitted = ended - timedelta(minutes=rng.randrange(10, 4_000))
        gap = (ended - submitted) / len(codes)
        outcome = rng.choices(("approved", "completed", "rejected", "abandoned"), weights=(45, 25, 10, 20))[0]
        taken = codes if outcome != "abandoned" else codes[: rng.randrange(1, len(codes) + 1)]
        steps = []
        for i, code in enumerate(taken):
            is_back_office = code in ("review", "decide", "pay_out", "block")
            channel = (
                None
                if is_back_office
                else rng.choice(("SJ", "SJ", "WY", "XCX"))
                if online and rng.random() < 0.92
                else "01"
            )
            actor = rng.choice(("staff", "system")) if is_back_office else "customer" if channel != "01" else "staff"
            begun = (submitted + gap * i).replace(microsecond=0)
            steps.append(Step(i + 1, code, channel, actor, begun, (submitted + gap * (i + 1)).replace(microsecond=0)))
        decided = ended - gap if outcome in ("approved", "rejected") else None
        made.append(
            Process(
                f"P{day:%Y%m%d}{number:05d}",
                process_id,
                record.customer_no,
                line,
                record.branch_id,
                "SJ" if online else "01",
                submitted.replace(microsecond=0),
                (submitted + gap).replace(microsecond=0),
                decided.replace(microsecond=0) if decided else None,
                ended.replace(microsecond=0),
                outcome,
                day,
                tuple(steps),
            )
        )
    return made
