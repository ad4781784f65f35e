import subprocess
import sys

import pytest

from device_sim.chance import Stream
from device_sim.tags import grai_tag, lgtin, sgtin_tag, sscc_tag
from device_sim.world import Party, format_time, parse_time
from ledger.gs1.epc import parse_epc
from ledger.gs1.tds import decode_epc_memory


def test_a_stream_is_the_same_every_time_and_another_for_every_name() -> None:
    first = [Stream(7, "reader", 1).word() for _ in range(3)]
    assert len(set(first)) == 1
    others = {Stream(seed, *names).word() for seed in (7, 8) for names in (("a",), ("a", "b"))}
    assert len(others | set(first)) == 5


def test_a_stream_does_not_depend_on_the_process() -> None:
    code = "from device_sim.chance import Stream; s = Stream(3, 'x'); print(s.word(), s.unit())"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


def test_unit_numbers_fill_their_range_evenly() -> None:
    stream = Stream(1, "even")
    numbers = [stream.unit() for _ in range(20_000)]
    assert 0 <= min(numbers) < 0.001
    assert 0.999 < max(numbers) < 1
    for tenth in range(10):
        share = sum(tenth / 10 <= one < (tenth + 1) / 10 for one in numbers) / len(numbers)
        assert share == pytest.approx(0.1, abs=0.01)


def test_noise_has_mean_zero_and_deviation_one() -> None:
    stream = Stream(1, "noise")
    numbers = [stream.noise() for _ in range(20_000)]
    mean = sum(numbers) / len(numbers)
    assert mean == pytest.approx(0, abs=0.03)
    assert sum((one - mean) ** 2 for one in numbers) / len(numbers) == pytest.approx(
        1, abs=0.04
    )


def test_a_quantile_table_is_met_at_its_own_shares() -> None:
    stream, table = Stream(1, "table"), ((0, 10), (0.5, 20), (0.9, 40), (1, 100))
    numbers = sorted(stream.quantile(table) for _ in range(20_000))
    assert numbers[0] >= 10
    assert numbers[-1] <= 100
    assert numbers[10_000] == pytest.approx(20, rel=0.03)
    assert numbers[18_000] == pytest.approx(40, rel=0.05)


def test_shuffling_keeps_every_element() -> None:
    deck = Stream(1, "deck").shuffled(range(50))
    assert sorted(deck) == list(range(50))
    assert deck != list(range(50))


@pytest.mark.parametrize(
    "tag",
    [
        sgtin_tag("9506000", "013435", 46_860_000_151, 1),
        sgtin_tag("9506000", "113436", 1, 2),
        sscc_tag("9506000", 468_600_001),
        sscc_tag("9521301234", 12),
        grai_tag("9521201", "00300", 7),
    ],
    ids=lambda tag: tag.epc,
)
def test_a_tag_holds_the_identity_that_its_epc_names(tag) -> None:
    read = decode_epc_memory(tag.memory)
    assert (read.epc_uri, read.tag_uri) == (tag.epc, tag.tag_uri)


def test_a_partys_id_is_a_gln_with_its_check_digit() -> None:
    party = Party(name="dairy", title="Alm Dairy", prefix="9506000")
    assert party.id == "https://id.gs1.org/417/9506000000008"


def test_a_lot_is_a_class_of_things() -> None:
    assert parse_epc(lgtin("9521101", "000017", "L20260302-0001")).is_class


def test_times_are_read_and_written_in_utc() -> None:
    assert parse_time("2026-03-02T01:00:00+01:00") == 1_772_409_600_000_000
    assert format_time(1_772_409_600_123_999) == "2026-03-02T00:00:00.123Z"
    with pytest.raises(ValueError, match="offset"):
        parse_time("2026-03-02T01:00:00")
