"""What a chain file answers about states: as much as go-ethereum would, and with proofs that hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import keccak256
from devp2p.capabilities.ethereum.chain import Account
from devp2p.capabilities.ethereum.store import Importer, SqliteChain, state_rows
from devp2p.capabilities.ethereum.store.database import Database
from devp2p.capabilities.ethereum.tries import EMPTY_CODE, EMPTY_ROOT, check_range, full_account, trie_nodes
from tests.capabilities.chains import CONTRACT, BuiltChain, State, build_chain, state_leaves

PLENTY = 2**21
FIRST, LAST = bytes(32), b"\xff" * 32
CHAIN = build_chain(40, 2, slots=60)
STATE = CHAIN.head.state
ROOT = CHAIN.head.header.state_root
OLDER = 30


def slim_leaves(state: State) -> list[tuple[bytes, bytes]]:
    return sorted((keccak256(address), holding.slim) for address, holding in state.items())


LEAVES = slim_leaves(STATE)
SLOTS = STATE[CONTRACT].leaves
KEYS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.sampled_from([FIRST, LAST]),
    st.tuples(st.sampled_from([key for key, _ in (*LEAVES, *SLOTS)]), st.sampled_from([-1, 0, 1])).map(
        lambda near: (int.from_bytes(near[0], "big") + near[1]).to_bytes(32, "big")
    ),
)
SIZES = st.one_of(st.integers(0, 4000), st.just(PLENTY))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return CHAIN.store(tmp_path_factory.mktemp("state"), states=(-1, OLDER))


@pytest.fixture(scope="module")
def database(path: Path) -> Iterator[Database]:
    opened = Database.open(str(path))
    yield opened
    opened.close()


def expected_leaves(leaves: list[tuple[bytes, bytes]], start: bytes, limit: bytes, *, over: int) -> list[tuple[bytes, bytes]]:
    """Up to the one that comes to `limit`, or with which there are more bytes than `over`."""
    found: list[tuple[bytes, bytes]] = []
    for key, value in leaves:
        if key >= start:
            found.append((key, value))
            if key >= limit or sum(32 + len(each) for _, each in found) > over:
                break
    return found


@settings(max_examples=60)
@given(start=KEYS, limit=KEYS, size=SIZES, number=st.sampled_from([OLDER, 40]))
def test_accounts_end_behind_the_limit_or_the_size_and_are_proved(database: Database, start: bytes, limit: bytes, size: int, number: int):
    block = CHAIN.blocks[number]
    root, leaves = block.header.state_root, slim_leaves(block.state)
    found = state_rows.accounts(database, root, start, limit, size)
    assert found is not None
    assert found.leaves == expected_leaves(leaves, start, limit, over=size)
    more = check_range(root, start, [(key, full_account(value)) for key, value in found.leaves], found.proof)
    assert more == (bool(found.leaves) and found.leaves[-1] != leaves[-1])
    assert bool(found.proof) == (start != FIRST or more)
    assert len(set(found.proof)) == len(found.proof)


@settings(max_examples=60)
@given(start=KEYS, limit=KEYS, size=SIZES)
def test_slots_of_one_account_are_proved_where_they_are_not_all(database: Database, start: bytes, limit: bytes, size: int):
    found = state_rows.slots(database, ROOT, [keccak256(CONTRACT)], (start, limit), size)
    assert found is not None
    [slots] = found
    assert slots.leaves == expected_leaves(SLOTS, start, limit, over=max(size + size // 10 - 1, 0))
    more = check_range(STATE[CONTRACT].storage_root, start, slots.leaves, slots.proof)
    assert more == (bool(slots.leaves) and slots.leaves[-1] != SLOTS[-1])
    assert bool(slots.proof) == (start != FIRST or more)


def test_whole_storage_of_many_accounts_comes_without_proofs_until_the_size_is_reached(database: Database):
    accounts = [(keccak256(address), holding.leaves) for address, holding in STATE.items()]
    hashes = [key for key, _ in accounts]
    everything = state_rows.slots(database, ROOT, hashes, (FIRST, LAST), PLENTY)
    assert everything is not None
    assert [found.leaves for found in everything] == [leaves for _, leaves in accounts]
    assert all(not found.proof for found in everything)
    some = state_rows.slots(database, ROOT, hashes, (FIRST, LAST), 1000)
    assert some is not None
    assert [found.leaves for found in some[:-1]] == [leaves for _, leaves in accounts[: len(some) - 1]]
    cut, whole = some[-1], accounts[len(some) - 1][1]
    assert list(cut.leaves) == whole[: len(cut.leaves)]
    assert 0 < len(cut.leaves) < len(whole)
    assert cut.proof
    total = sum(32 + len(value) for found in some for _, value in found.leaves)
    assert 1100 <= total < 1100 + 32 + 33


def test_a_start_within_one_storage_ends_the_answer_with_it(database: Database):
    found = state_rows.slots(database, ROOT, [keccak256(CONTRACT)] * 2, (SLOTS[3][0], LAST), PLENTY)
    assert found is not None
    assert [each.leaves for each in found] == [SLOTS[3:]]


def test_an_unknown_account_or_root_has_no_answer(database: Database):
    known = keccak256(CONTRACT)
    assert state_rows.slots(database, ROOT, [known, FIRST], (FIRST, LAST), PLENTY) is None
    assert state_rows.slots(database, ROOT, [FIRST, known], (FIRST, LAST), 0) is None
    for root in (bytes(32), STATE[CONTRACT].storage_root, CHAIN.blocks[5].header.state_root, EMPTY_ROOT):
        assert state_rows.accounts(database, root, FIRST, LAST, PLENTY) is None
        assert state_rows.slots(database, root, [known], (FIRST, LAST), PLENTY) is None
        assert state_rows.nodes(database, root, [[b"\0"]], PLENTY) == []


def compact(path: str) -> bytes:
    return bytes.fromhex(f"1{path}" if len(path) % 2 else f"00{path}")


def test_every_node_is_found_by_its_path(database: Database):
    accounts = {path: node for path, _, node in trie_nodes(state_leaves(STATE))}
    storage = {path: node for path, _, node in trie_nodes(SLOTS)}
    assert state_rows.nodes(database, ROOT, [[compact(path)] for path in accounts], PLENTY) == list(accounts.values())
    sets = [[keccak256(CONTRACT), *(compact(path) for path in storage)], [b"\0"]]
    assert state_rows.nodes(database, ROOT, sets, PLENTY) == [*storage.values(), accounts[""]]
    assert len(accounts) > 30
    assert len(storage) > 30


def test_what_is_no_path_of_a_node_keeps_its_place(database: Database):
    [root] = state_rows.nodes(database, ROOT, [[b"\0"]], PLENTY)
    no_paths = [b"", b"\x20", b"\x31", b"\x01", b"\x40\x00", b"\xff", bytes(34), bytes(range(59)), b"\0" + LAST]
    sets = [[b"\0"], *([path] for path in no_paths), [b"\0"]]
    assert state_rows.nodes(database, ROOT, sets, PLENTY) == [root, *([b""] * len(no_paths)), root]
    assert state_rows.nodes(database, ROOT, [[b"\1", b"\0"], [b"\0"]], PLENTY) == [root]  # no account is at 00..01
    assert state_rows.nodes(database, ROOT, [[b"\0"]] * 4, len(root) + 1) == [root, root]
    assert state_rows.nodes(database, ROOT, [[b"\0"]] * 4, 0) == [root]


def test_codes_come_in_the_order_of_their_hashes_those_of_nothing_as_well(database: Database):
    codes = [holding.code for holding in STATE.values() if holding.code]
    hashes = [keccak256(codes[0]), EMPTY_CODE, ROOT, keccak256(codes[-1]), keccak256(codes[0]), EMPTY_CODE]
    expected = [codes[0], b"", codes[-1], codes[0], b""]
    assert state_rows.codes(database, hashes, PLENTY) == expected
    assert state_rows.codes(database, hashes, len(codes[0])) == expected[:3]
    assert state_rows.codes(database, hashes, 0) == expected[:1]
    assert state_rows.codes(database, [EMPTY_CODE] * 3, 0) == [b"", b"", b""]


@pytest.mark.real_clock
async def test_all_of_it_is_there_through_the_face(path: Path):
    with SqliteChain.open(path) as chain:
        contract = STATE[CONTRACT]
        assert await chain.account(CONTRACT) == Account(contract.nonce, contract.balance, contract.storage_root, keccak256(contract.code))
        assert await chain.account(bytes(20)) is None
        plain = next(address for address, holding in STATE.items() if not holding.code)
        assert await chain.account(plain) == Account(STATE[plain].nonce, STATE[plain].balance, EMPTY_ROOT, EMPTY_CODE)
        accounts = await chain.accounts(ROOT, FIRST, LAST, size=PLENTY)
        assert accounts is not None
        assert list(accounts.leaves) == LEAVES
        slots = await chain.slots(ROOT, [keccak256(CONTRACT)], FIRST, LAST, size=PLENTY)
        assert slots is not None
        assert [list(found.leaves) for found in slots] == [SLOTS]
        assert await chain.codes([keccak256(contract.code)], size=0) == [contract.code]
        assert len(await chain.nodes(ROOT, [[b"\0"]], size=0)) == 1


@pytest.mark.real_clock
async def test_only_states_of_the_last_128_blocks_are_served(tmp_path: Path):
    built = build_chain(130, 0)
    path = built.store(tmp_path, states=(2, 3, 130))
    roots = {number: built.blocks[number].header.state_root for number in (0, 2, 3, 130)}
    with SqliteChain.open(path) as chain:

        async def served() -> list[int]:
            return [n for n, root in roots.items() if await chain.accounts(root, FIRST, LAST, size=0) is not None]

        assert await served() == [3, 130]
        assert chain.has_state
        await chain.set_head(built.blocks[129].hash)
        assert await served() == [2, 3]
        assert (await chain.account(CONTRACT)) == (account_at(built.blocks[3].state))
        await chain.set_head(built.blocks[1].hash)
        assert await served() == [0]
        await chain.set_head(built.head.hash)
        assert [state.served for state in (await chain.contents()).states] == [True, True, False, False]


@pytest.mark.real_clock
async def test_it_is_known_whether_there_is_a_state_to_serve(tmp_path: Path):
    built = build_chain(130, 0)
    with Importer.open(tmp_path / "chain.db", built.genesis) as importer, SqliteChain.open(tmp_path / "chain.db") as chain:
        assert chain.has_state
        importer.blocks(built.write(tmp_path).chain)
        assert not chain.has_state
        assert await chain.account(CONTRACT) is None
        await chain.set_head(built.blocks[127].hash)
        assert chain.has_state
        await chain.set_head(built.blocks[130].hash)
        importer.state(100, write_dump(tmp_path, built, 100))
        assert chain.has_state


def write_dump(directory: Path, built: BuiltChain, number: int) -> Path:
    path = directory / "dump.json"
    path.write_text(built.dump(number))
    return path


def account_at(state: State) -> Account:
    holding = state[CONTRACT]
    return Account(holding.nonce, holding.balance, holding.storage_root, keccak256(holding.code))


def test_the_same_storage_is_kept_once(database: Database):
    [(tries,)] = database.rows("SELECT count(*) FROM tries")
    roots = {holding.storage_root for block in (0, OLDER, 40) for holding in CHAIN.blocks[block].state.values() if holding.storage}
    assert tries == 3 + len(roots)
