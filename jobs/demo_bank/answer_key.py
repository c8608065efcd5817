"""The right answers, worked out from the truth in plain Python: rows and money of feeds and tables, and the figures.

Nothing here is taken from the pipeline: no contract, no code map, no definition is read. Days are added one after
another and only sums, and what may still be reversed, are kept. A faulty day's answers are those after the faults were
caught: refused and missing files do not count, rows that were turned away do not count, a corrected file counts instead
of the first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from jobs.demo_bank import people as persons
from jobs.demo_bank.bank import ONE_DAY, DemoBank
from jobs.demo_bank.codes import BAD_CLASSES, COUNTER, ENTITIES, LINES, MEANINGFUL, ONLINE, PRODUCTS
from jobs.demo_bank.faults import Plan
from jobs.demo_bank.feeds import CHANNEL_FLAGS, FEEDS, calendar_days
from jobs.demo_bank.sums import Activity, DayFigures, Grain, Sum, figure
from jobs.demo_bank.truth import Account, Day, GlBalance, Record, Sale, Transaction

FLOOR = 100_00  # fen: a party with at least this much in its accounts is active
# A reversal comes at most so many days after its original.
LONGEST_REVERSAL = 2
FINISHED = {"approved", "rejected", "completed"}


class AnswerKey:
    """Answers for one bank and its faults by date, told day after day from the beginning of the history."""

    def __init__(self, bank: DemoBank, faults: Mapping[date, Sequence[str]] | None = None) -> None:
        self.bank, self.faults = bank, dict(faults or {})
        self.days: dict[date, DayFigures] = {}
        self._known: dict[str, tuple[Record, date]] = {}
        self._accounts: dict[str, tuple[Account, date]] = {}
        self._loans: set[str] = set()
        self._history: Counter[str] = Counter()

    def of(self, day: date, *, known: date | None = None) -> dict[str, Any]:
        """Answers for a business date as they stand when the files up to `known` (by default that date) have come.

        Keys: date, known, feeds (feed -> entity -> state, rows, money), tables (rows and money of the date; `current`
        and `history` of tables with history), parties, conflicts, kpis (id -> period kind -> measure -> cell ->
        numerator, denominator, value), missing, caught. Cells are `total`, `legal_entity_id=`, `business_line=`,
        `province_code=`, `branch_id=`. Days cannot be told backwards.
        """
        known = known or day
        if self.days and max(self.days) > known:
            raise ValueError(f"files up to {max(self.days)} are already counted; ask a new AnswerKey for {known}")
        start = max(self.days) + ONE_DAY if self.days else self.bank.first
        for n in range((known - start).days + 1):
            self._add(start + n * ONE_DAY)
        told = self.days[day]
        party = self._parties(day)
        assert told.plan is not None
        return {
            "date": day,
            "known": known,
            "feeds": told.feeds,
            "tables": told.tables,
            "parties": len(set(party.values())),
            "conflicts": self._conflicts(day),
            "kpis": self._kpis(day, party),
            "missing": sorted("|".join((*lane, day.isoformat())) for lane in told.plan.lost_lanes),
            "caught": told.plan.caught,
        }

    # --- adding a day ---

    def _add(self, at: date) -> None:
        bank = self.bank
        planned = bank.plan(at, self.faults.get(at, ()))
        day = bank.day(at)
        figures = self.days[at] = DayFigures()
        figures.plan = planned
        for earlier in [d for d in self.days if d < at - LONGEST_REVERSAL * ONE_DAY]:
            self.days[earlier].open_moves.clear()
            self.days[earlier].open_sales.clear()
            self.days[earlier].balances.clear()
        self._add_entities(day, planned)
        day = day._replace(events=tuple(self._counted("app_events", day, planned)))
        moves = self._counted("core_transactions", day, planned)
        for move in moves:
            self._add_move(figures, move)
        for sale in day.sales:
            self._add_sale(figures, sale)
        self._add_events_and_processes(figures, day)
        balances = self._add_balances(figures, day, planned)
        for state in day.loans:
            if state.loan.loan_id in self._loans:
                grain = self._grain("bank", "micro_loan", state.loan.branch_id)
                bad = state.balance if state.five_class in BAD_CLASSES else 0
                figures.sums["K34", "ratio"].add(grain.cells(by_line=False), bad, state.balance)
        ledger = self._counted("core_gl", day, planned)
        figures.tables = self._tables(day, moves, balances, ledger)
        figures.feeds = self._feeds(day, planned)

    def _grain(self, entity: str, line: str, branch_id: str) -> Grain:
        return Grain(entity, line, self.bank.people.by_id[branch_id].province, branch_id)

    def _counted(self, name: str, day: Day, planned: Plan) -> list[Any]:
        """What a feed's lanes tell, as far as it counts once the day's faults were caught."""
        feed, people = FEEDS[name], self.bank.people
        lanes = [(entity, feed.items(people, day, entity)) for entity in feed.senders(people)]
        return [item for entity, items in lanes for item in planned.counted(name, entity, items)]

    def _add_entities(self, day: Day, planned: Plan) -> None:
        for record in self._counted("core_customers", day, planned):
            since = self._known[record.customer_no][1] if record.customer_no in self._known else day.date
            self._known[record.customer_no] = (record, since)
            self._history["parties_source"] += 1
        for account in self._counted("core_accounts", day, planned):
            since = self._accounts[account.account_no][1] if account.account_no in self._accounts else day.date
            self._accounts[account.account_no] = (account, since)
            self._history["accounts"] += 1
        self._loans |= {loan.loan_id for loan in day.new_loans}

    def _add_move(self, figures: DayFigures, t: Transaction) -> None:
        if t.status != "0":
            return
        if t.reverses is not None:
            original_day = date.fromisoformat(t.reverses.split(":")[0])
            self.days[original_day].reverse_move((t.branch_id, t.reverses), t.fen)
        elif t.initiator == "C" and t.is_financial:
            grain = self._grain("bank", LINES[t.account.line], t.branch_id)
            counted = Activity(
                t.booked, grain, t.account.customer_no, t.channel in ONLINE, t.channel != COUNTER, t.channel
            )
            figures.open_moves[t.key] = counted
            figures.count_move(counted, t.booked, 1)

    def _add_sale(self, figures: DayFigures, s: Sale) -> None:
        if s.status != "completed":
            return
        if s.reverses is not None and s.reverses_date is not None:
            self.days[s.reverses_date].reverse_sale(s.reverses, s.fen)
            return
        grain = self._grain(ENTITIES[s.product.entity], LINES[s.product.line], s.branch_id)
        online = s.complete in ONLINE and s.is_customer_initiated
        counted = Activity(s.fen, grain, s.customer_no, online, s.origin in ONLINE, s.complete)
        figures.open_sales[s.sale_id] = counted
        figures.count_sale(counted, s.fen, 1)

    def _add_events_and_processes(self, figures: DayFigures, day: Day) -> None:
        for e in day.events:
            if (
                e.customer_no
                and e.name in MEANINGFUL
                and e.channel in ONLINE
                and not (e.is_bot or e.is_test or e.is_staff)
            ):
                figures.clicked.add(e.customer_no)
        for p in day.processes:
            facing = [s for s in p.steps if s.channel is not None]
            if p.outcome in FINISHED:
                online = sum(s.channel in ONLINE for s in facing)
                cells = self._grain("bank", LINES[p.line], p.branch_id).cells()
                is_counted = bool(facing)
                figures.sums["K3", "instance_share"].add(cells, is_counted and online == len(facing), is_counted)
                figures.sums["K3", "step_share"].add(cells, online, len(facing))

    def _add_balances(self, figures: DayFigures, day: Day, planned: Plan) -> tuple[int, int, int]:
        """Balances of accounts that the platform knows, by holder. Returns (rows, fen, rows of unknown accounts)."""
        rows = fen = unknown = 0
        for account, balance in self._counted("core_balances", day, planned):
            if account.account_no not in self._accounts:
                unknown += 1
                continue
            rows, fen = rows + 1, fen + balance
            figures.balances[account.customer_no] += balance
        return rows, fen, unknown

    def _tables(
        self, day: Day, moves: list[Transaction], balances: tuple[int, int, int], ledger: list[GlBalance]
    ) -> dict[str, dict[str, Any]]:
        undone = [t for t in moves if t.reverses and t.status == "0"]
        cancelled = [s for s in day.sales if s.reverses and s.status == "completed"]
        rows, fen, unknown = balances
        loans = [s for s in day.loans if s.loan.loan_id in self._loans]
        active = {
            c
            for figures in (self.days[day.date].moves, self.days[day.date].sold)
            for c, n in figures.items()
            if n["all"] > 0
        }
        return {
            "silver.transactions": _rows(len(moves), sum(t.booked for t in moves)),
            "silver.reversals": _rows(
                len(undone) + len(cancelled), sum(t.fen for t in undone) + sum(s.fen for s in cancelled)
            ),
            "silver.sales": _rows(len(day.sales), sum(s.fen for s in day.sales)),
            "silver.channel_events": _rows(len(day.events)),
            "silver.process_instances": _rows(len(day.processes)),
            "silver.process_steps": _rows(sum(len(p.steps) for p in day.processes)),
            "silver.account_balances": {**_rows(rows, fen), "rejected": unknown},
            "silver.gl_balances": _rows(len(ledger), sum(b.debit for b in ledger)),
            "silver.loans": _rows(len(loans), sum(s.balance for s in loans)),
            "silver.exchange_rates": _rows(len(day.rates)),
            "silver.parties_source": {"current": len(self._known), "history": self._history["parties_source"]},
            "silver.party_links": {"current": len(self._known)},
            "silver.accounts": {"current": len(self._accounts), "history": self._history["accounts"]},
            "silver.loan_contracts": {"current": len(self._loans), "history": len(self._loans)},
            "silver.branches": {"current": len(self.bank.people.branches)},
            "silver.products": {"current": len(PRODUCTS)},
            "silver.ref_channels": {"current": len(CHANNEL_FLAGS)},
            "silver.calendar": {"current": len(calendar_days())},
            "gold.party_days": _rows(len(active | self.days[day.date].clicked)),
        }

    def _feeds(self, day: Day, planned: Plan) -> dict[str, dict[str, dict[str, Any]]]:
        """What the ledger must say of each lane of the day: its state, rows and money as received and as judged."""
        told: dict[str, dict[str, dict[str, Any]]] = {}
        for feed in FEEDS.values():
            if feed.sender == "configuration":
                continue
            for entity in feed.senders(self.bank.people):
                items = feed.items(self.bank.people, day, entity)
                if not items and feed.is_silent:
                    continue
                lane = told.setdefault(feed.name, {})[entity] = {"state": "loaded"}
                if (feed.name, entity) in planned.lost_lanes:
                    outcomes = {c.outcome for c in planned.caught if (c.feed, c.entity) == (feed.name, entity)}
                    # What comes late is missing until it is there.
                    lane["state"] = next((s for s in ("refused", "missing", "held") if s in outcomes), "missing")
                    continue
                sent = [row.item for row in planned.told(feed.name, entity, items)]
                turned_away, unread = planned.rejected(feed.name, entity)
                twice = planned.duplicates(feed.name, entity)
                fen = {
                    "received": sum(map(feed.fen, sent)) - sum(map(feed.fen, unread)),
                    "rejected": sum(map(feed.fen, turned_away)) - sum(map(feed.fen, unread)),
                    "duplicate": sum(map(feed.fen, twice)),
                }
                rows = {"received": len(sent), "rejected": len(turned_away), "duplicate": len(twice)}
                for counted in (rows, fen):
                    counted["accepted"] = counted["received"] - counted["rejected"] - counted["duplicate"]
                lane["state"] = "partly_loaded" if turned_away else "loaded"
                lane |= {f"{part}_rows": number for part, number in rows.items()}
                lane |= {f"{part}_money": _yuan(amount) for part, amount in fen.items()}
        return told

    # --- figures ---

    def _parties(self, day: date) -> dict[str, str]:
        """Customer number -> party of the records known on a date: one ID number that passes its check, one name."""
        return {
            number: f"{r.kind}|{_plain_id(r)}|{persons.comparison_name(r.name)}" if _comparable(r) else number
            for number, (r, since) in self._known.items()
            if since <= day
        }

    def _conflicts(self, day: date) -> int:
        """Records whose valid ID number stands under more than one name."""
        names: dict[str, list[str]] = defaultdict(list)
        for record, since in self._known.values():
            if since <= day and _comparable(record):
                names[f"{record.kind}|{_plain_id(record)}"].append(persons.comparison_name(record.name))
        return sum(len(told) for told in names.values() if len(set(told)) > 1)

    def _kpis(self, day: date, party: dict[str, str]) -> dict[str, Any]:
        month = [d for d in self.days if d.replace(day=1) == day.replace(day=1) and d <= day]
        opened = self._accounts_opened(day, party, month)
        by_day = {**self.days[day].sums, **{("K8", m): sums.get(day, Sum()) for m, sums in opened.items()}}
        kpis: dict[str, Any] = {}
        units = {"K4": {"amount_share": 100}, "K1": {"amount_share": 100}, "K34": {"ratio": 100}}
        names = {
            "K1": ("count_share", "amount_share", "origin_count_share"),
            "K3": ("instance_share", "step_share"),
            "K4": ("count_share", "amount_share"),
            "K8": ("share", "entity_new_share"),
            "K34": ("ratio",),
        }
        for kpi, measures in names.items():
            kinds: dict[str, Any] = {"day": {}, "mtd": {}}
            for measure in measures:
                unit = units.get(kpi, {}).get(measure, 1)
                kinds["day"][measure] = by_day.get((kpi, measure), Sum()).told(unit)
                total = Sum()
                for d in [day] if kpi == "K34" else month:
                    total += (
                        opened[measure].get(d, Sum()) if kpi == "K8" else self.days[d].sums.get((kpi, measure), Sum())
                    )
                kinds["mtd"][measure] = total.told(unit)
            kpis[kpi] = kinds
        kpis |= {
            kpi: {"mtd": {m: {"total": f} for m, f in measures.items()}}
            for kpi, measures in self._windows(day, party, month).items()
        }
        if (day + ONE_DAY).day == 1:
            for kinds in kpis.values():
                kinds["month"] = kinds["mtd"]
        return kpis

    def _accounts_opened(self, day: date, party: dict[str, str], month: list[date]) -> dict[str, dict[date, Sum]]:
        """K8 by date of opening: the first account of a party in the group, and at each legal entity."""
        first: dict[str, Account] = {}
        at_entity: dict[tuple[str, str], Account] = {}
        told = [a for a, since in self._accounts.values() if since <= day]
        for account in sorted(told, key=lambda a: (a.opened_on, a.account_no)):
            owner = party.get(account.customer_no, account.customer_no)
            first.setdefault(owner, account)
            at_entity.setdefault((owner, account.entity), account)
        in_group = {a.account_no for a in first.values()}
        sums: dict[str, dict[date, Sum]] = {"share": defaultdict(Sum), "entity_new_share": defaultdict(Sum)}
        for account in at_entity.values():
            if account.opened_on in month:
                cells = self._grain(ENTITIES[account.entity], LINES[account.line], account.branch_id).cells()
                is_online, is_first = account.open_channel in ONLINE, account.account_no in in_group
                sums["share"][account.opened_on].add(cells, is_first and is_online, is_first)
                sums["entity_new_share"][account.opened_on].add(cells, is_online, 1)
        return sums

    def _windows(self, day: date, party: dict[str, str], month: list[date]) -> dict[str, dict[str, Any]]:
        """K2, K5 and K7: counts of parties over windows that end on the date."""
        year = [d for d in self.days if day - timedelta(days=365) < d <= day]
        quarter = [d for d in year if d > day - timedelta(days=90)]

        def of(customers: Iterable[str]) -> set[str]:
            return {party.get(c, c) for c in customers}

        moved = of(c for d in year for c, n in self.days[d].moves.items() if n["all"] > 0)
        balance: Counter[str] = Counter()
        for customer, fen in self.days[day].balances.items():
            balance[party.get(customer, customer)] += fen
        active = moved | {p for p, fen in balance.items() if fen >= FLOOR}
        buyers = of(c for d in year for c, n in self.days[d].sold.items() if n["all"] > 0)
        online_buyers = of(c for d in year for c, n in self.days[d].sold.items() if n["online"] > 0)
        clicked = of(c for d in month for c in self.days[d].clicked)
        online = of(c for d in quarter for c, n in self.days[d].moves.items() if n["online"] > 0)
        counter = of(c for d in quarter for c, n in self.days[d].moves.items() if n["counter"] > 0)
        return {
            "K2": {
                "of_active": figure(len(active & online_buyers), len(active)),
                "of_buyers": figure(len(online_buyers), len(buyers)),
            },
            "K5": {"mau": figure(len(clicked), None), "rate": figure(len(active & clicked), len(active))},
            "K7": {"share": figure(len((active & online) - counter), len(active))},
        }


def _plain_id(record: Record) -> str:
    return record.id_number.translate({v: chr(k) for k, v in ((k, ord(v)) for k, v in persons.FULL_WIDTH.items())})


def _comparable(record: Record) -> bool:
    """Has a number that passes its check.

    Firms have one record each, so that it does not matter whether theirs is checked.
    """
    return record.id_kind == "01" and persons.id_is_valid(record.id_number)


def _yuan(fen: int) -> Decimal:
    return Decimal(fen).scaleb(-2)


def _rows(rows: int, fen: int | None = None) -> dict[str, Any]:
    return {"rows": rows} if fen is None else {"rows": rows, "money": _yuan(fen)}


def answer_key(bank: DemoBank, day: date, faults: Sequence[str] = ()) -> dict[str, Any]:
    """Answers for one business date on which these faults happen; all days before were clean."""
    return AnswerKey(bank, {day: faults}).of(day)
