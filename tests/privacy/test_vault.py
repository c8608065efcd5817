"""Tokens: issued once, found again, revealed to those who may, forgotten on erasure, unchanged by rotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from infra.local import postgres as server
from jobs.ledger import Ledger
from jobs.privacy.keys import load_keys
from jobs.privacy.vault import Vault, VaultUnavailable
from jobs.settings import Settings, settings
from tests.postgres import free_port


@pytest.fixture
def vault(new_ledger: Callable[[], Ledger]) -> Iterator[Vault]:
    with Vault(new_ledger().profile) as opened:
        yield opened


def test_a_value_has_one_token_for_ever_and_kinds_are_apart(vault: Vault) -> None:
    first = vault.tokens_for("phone", ["+8613900000001", "+8613900000002"])
    assert vault.tokens_for("phone", ["+8613900000001"]) == {"+8613900000001": first["+8613900000001"]}
    assert len({*first.values(), *vault.tokens_for("card", ["+8613900000001"]).values()}) == 3
    assert first["+8613900000001"].startswith("phn_")
    assert len(first["+8613900000001"]) == 4 + 26  # 128 random bits in base 32
    assert vault.find("phone", ["+8613900000001", "never seen"]) == {"+8613900000001": first["+8613900000001"]}
    assert vault.reveal(first.values()) == {token: value for value, token in first.items()}


def test_the_tables_hold_no_clear_value(vault: Vault, postgres: Settings) -> None:
    vault.tokens_for("name", ["张三"])
    with server.connect(postgres, "ledgerlake") as db:
        row = db.execute(f"select kind, token, lookup, ciphertext from {vault.schema}.tokens").fetchone()
    assert row is not None
    assert all("张三".encode() not in (part if isinstance(part, bytes) else part.encode()) for part in row)


def test_two_at_once_get_the_same_tokens(vault: Vault) -> None:
    values = [f"+86139{i:08d}" for i in range(3_000)]
    vaults = [Vault(vault.profile) for _ in range(4)]
    orders = [values, values[::-1], values[1000:] + values[:1000], values]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda pair: pair[0].tokens_for("phone", pair[1]), zip(vaults, orders, strict=True)))
    for each in vaults:
        each.close()
    assert all(result == results[0] for result in results)
    assert len(set(results[0].values())) == 3_000


def test_rotation_rehashes_lookups_and_keeps_tokens(vault: Vault, postgres: Settings) -> None:
    other = Vault(vault.profile)
    before = vault.tokens_for("phone", ["1", "2"]) | other.tokens_for("phone", ["3"])

    def lookups() -> set[tuple[bytes, str]]:
        with server.connect(postgres, "ledgerlake") as db:
            return set(db.execute(f"select lookup, lookup_key_id from {vault.schema}.tokens").fetchall())

    old = lookups()
    assert vault.rotate_lookup_key() == 3
    assert {key for _, key in lookups()} == {"lookup-2"}
    assert not {lookup for lookup, _ in old} & {lookup for lookup, _ in lookups()}
    assert vault.tokens_for("phone", ["1", "2", "3"]) == before
    assert other.tokens_for("phone", ["1", "2", "3"]) == before  # a process that began before takes up the new key
    other.close()


def test_a_rotation_that_died_after_the_key_file_changed_harms_nothing(vault: Vault) -> None:
    from jobs.privacy.keys import rotate_lookup

    before = vault.tokens_for("phone", ["1"])
    rotate_lookup()
    with Vault(vault.profile) as later:
        assert later.tokens_for("phone", ["1"]) == before


def test_erased_values_are_gone_and_come_back_as_strangers(vault: Vault) -> None:
    token = vault.tokens_for("phone", ["1"])["1"]
    assert vault.erase([token]) == 1
    assert vault.reveal([token]) == {}
    assert vault.tokens_for("phone", ["1"])["1"] != token


def test_the_ledgers_role_cannot_read_the_vault(vault: Vault) -> None:
    vault.tokens_for("phone", ["1"])
    url = settings().ledger_url().replace("+psycopg", "")
    with psycopg.connect(url) as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute(f"select * from {vault.schema}.tokens")


def test_a_lost_key_file_is_said_and_not_papered_over(vault: Vault) -> None:
    vault.tokens_for("phone", ["1"])
    vault.rotate_lookup_key()
    (settings().home / "secrets" / "keys.json").unlink()
    with Vault(vault.profile, load_keys()) as strange, pytest.raises(VaultUnavailable, match="Restore the key file"):
        strange.tokens_for("phone", ["1"])


def test_a_database_that_is_down_is_one_clear_message(installation: Path) -> None:
    url = f"postgresql+psycopg://ledgerlake:x@127.0.0.1:{free_port()}/ledgerlake"
    with (
        Vault("bank", load_keys(), url) as vault,
        pytest.raises(VaultUnavailable, match=r"does not answer at 127.0.0.1:\d+.*ledgerlake up"),
    ):
        vault.tokens_for("phone", ["1"])
