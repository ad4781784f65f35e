"""From messages to EPCIS events, as a plan says; and back from a snapshot, unchanged."""

import json
from uuid import UUID

import pytest

from ingest.drafts import Event, Outcome
from ingest.interpret import OUTPUTS_PER_EVENT_MAX
from ingest.plan import Plan
from ingest.reads import TICK_TOPIC, Message
from ingest.site import Site, encode_tick
from ledger.epcis.event import parse_event
from ledger.tlog.merkle import leaf_hash, tree_root
from tests.ingest.scene import (
    DAIRY,
    SECRET,
    STATION,
    T0,
    T0_S,
    events_of,
    hex_of,
    message,
    plan_of,
    read_payload,
    run_site,
    sgtin,
)

OBJECT = (
    '[[station.emit]]\nevent = "object"\nbiz_step = "shipping"\ndisposition = "in_transit"\n'
)
PACK = """[[station.emit]]
event = "aggregation"
action = "ADD"
biz_step = "packing"
parent = ["urn:epc:id:sgtin:9506000.013435.1", "urn:epc:id:sgtin:9506000.013435.2"]
children = ["urn:epc:idpat:sgtin:9506000.013435.*"]
"""
UNPACK = """[[station.emit]]
event = "aggregation"
action = "DELETE"
biz_step = "unpacking"
parent = ["urn:epc:id:sgtin:9506000.013435.1", "urn:epc:id:sgtin:9506000.013435.2"]
"""
FILL = """[[station.emit]]
event = "transformation"
biz_step = "commissioning"
disposition = "active"
outputs = ["urn:epc:idpat:sgtin:9506000.013435.*"]
"""
SENSOR = f"""[[sensor]]
device = "70B3D57ED0000001"
party = "{DAIRY}"
asset = "urn:epc:id:grai:9506000.00300.7"
batch = 3
"""
LOT = {
    "type": "line.lot",
    "time": T0_S,
    "epcClass": "urn:epc:class:lgtin:9506000.012345.L1",
    "quantity": 1180.5,
    "uom": "KGM",
}


def reads(*tags: tuple[int, float], start: int = 1) -> list[Message]:
    """Return one message for each (serial number, second)."""
    return [
        message(read_payload(n, second), number=start + k, at=T0 + round(second * 1_000_000))
        for k, (n, second) in enumerate(tags)
    ]


def tick(second: float, *, everything: bool = False) -> Message:
    at = T0 + round(second * 1_000_000)
    return message(encode_tick(at, everything=everything), TICK_TOPIC, at=at)


def batch(phase: str, second: float, name: str = "B-1", **fields: object) -> Message:
    body = {"type": "line.batch", "phase": phase, "time": T0_S + second, "batch": name}
    return message(body | fields, "gate/line")


def start(second: float, name: str = "B-1", **fields: object) -> Message:
    inputs = [{"epcClass": "urn:epc:class:lgtin:9506000.012345.L1", "quantity": 900}]
    transformation = {"transformationID": f"urn:epc:id:gdti:9506000.00001.{name[2:]}"}
    return batch("start", second, name, inputs=inputs, lot="LOT1", **(transformation | fields))


END = tick(1000, everything=True)


def only_event(plan: Plan, *messages: Message) -> Event:
    _, outcome = run_site(plan, [*messages, END])
    assert outcome.unresolved == []
    (event,) = events_of(outcome)
    return event


def test_a_pass_becomes_a_whole_epcis_event() -> None:
    messages = reads((7, 0), (8, 1), (7, 2))
    event = only_event(plan_of(STATION, OBJECT), *messages)
    root = tree_root([leaf_hash(one.sha256) for one in messages])
    assert event == {
        "eventID": event["eventID"],
        "type": "ObjectEvent",
        "eventTime": "2026-01-05T08:00:02.000Z",
        "eventTimeZoneOffset": "+00:00",
        "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.gate"},
        "bizLocation": {"id": "urn:epc:id:sgln:9506000.00001.0"},
        "bizStep": "shipping",
        "disposition": "in_transit",
        "action": "OBSERVE",
        "epcList": [sgtin(7), sgtin(8)],
        "tagtrail:evidence": {"messages": 3, "root": root.hex()},
        "tagtrail:clock": {"offset_ms": 0, "error_ms": 1000},
    }
    assert UUID(str(event["eventID"])).version == 8
    parse_event(event)


def test_parties_and_orders_of_the_plan_are_in_the_event() -> None:
    more = (
        f'source = [{{type = "possessing_party", id = "{DAIRY}"}}]\n'
        f'destination = [{{type = "owning_party", id = "{DAIRY}"}}]\n'
        'transactions = [{type = "po", id = "urn:epcglobal:cbv:bt:9506000134352:1"}]\n'
    )
    event = only_event(plan_of(STATION, OBJECT + more), *reads((7, 0)))
    assert event["sourceList"] == [{"type": "possessing_party", "source": DAIRY}]
    assert event["destinationList"] == [{"type": "owning_party", "destination": DAIRY}]
    assert event["bizTransactionList"] == [
        {"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9506000134352:1"}
    ]


def test_a_read_without_a_time_says_so_in_its_event() -> None:
    untimed = message({"epc": hex_of(7)})
    assert only_event(plan_of(STATION, OBJECT), untimed)["tagtrail:untimed"] == 1


def test_the_same_inbox_gives_the_same_events_and_another_secret_other_ids() -> None:
    plan = plan_of(STATION, OBJECT)
    messages = [*reads((7, 0), (8, 10), (7, 20)), END]
    first, second = (events_of(run_site(plan, messages)[1]) for _ in range(2))
    assert first == second
    assert len({event["eventID"] for event in first}) == 3
    site, outcome = Site(plan), Outcome(secret=bytes(32))
    for one in messages:
        site.take_message(one, outcome)
    assert {event["eventID"] for event in events_of(outcome)}.isdisjoint(
        event["eventID"] for event in first
    )


def test_two_passes_out_of_one_message_have_two_identities() -> None:
    payload = [{"epc": hex_of(7), "ts": T0_S}, {"epc": hex_of(7), "ts": T0_S + 60}]
    _, outcome = run_site(
        plan_of(STATION, OBJECT), [message(json.dumps(payload).encode()), END]
    )
    ids = [event["eventID"] for event in events_of(outcome)]
    assert len(set(ids)) == 2


def test_an_aggregation_takes_the_one_parent_and_the_rest_as_children() -> None:
    event = only_event(plan_of(STATION, PACK), *reads((7, 0), (1, 1), (8, 2)))
    assert (event["type"], event["action"]) == ("AggregationEvent", "ADD")
    assert event["parentID"] == sgtin(1)
    assert event["childEPCs"] == [sgtin(7), sgtin(8)]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (((7, 0),), "no tag of the pass is a parent"),
        (((1, 0),), "without a child"),
        (((1, 0), (2, 0), (7, 0)), "2 tags of the pass are parents"),
    ],
)
def test_an_aggregation_that_does_not_add_up_is_listed_and_not_guessed(
    tags: tuple[tuple[int, float], ...], said: str
) -> None:
    _, outcome = run_site(plan_of(STATION, PACK, OBJECT), [*reads(*tags), END])
    assert [event["type"] for event in events_of(outcome)] == ["ObjectEvent"]
    (one,) = outcome.unresolved
    assert said in one.why
    assert set(one.epcs) == {sgtin(n) for n, _ in tags}


def test_unpacking_empties_each_parent_that_came_by() -> None:
    _, outcome = run_site(plan_of(STATION, UNPACK), [*reads((1, 0), (2, 0), (7, 0)), END])
    events = events_of(outcome)
    assert [event["parentID"] for event in events] == [sgtin(1), sgtin(2)]
    assert all("childEPCs" not in event for event in events)
    assert len(outcome.drafts) == 1


def test_events_of_one_pass_are_in_the_order_of_the_plan() -> None:
    _, outcome = run_site(plan_of(STATION, PACK, OBJECT), [*reads((1, 0), (7, 0)), END])
    (draft,) = outcome.drafts
    assert [event["type"] for event in draft.events] == ["AggregationEvent", "ObjectEvent"]


def test_a_lot_is_commissioned_and_loaded_in_one_statement() -> None:
    into = "urn:epc:id:grai:9506000.00300.7"
    _, outcome = run_site(plan_of(STATION), [message(LOT | {"into": into}, "gate/line")])
    (draft,) = outcome.drafts
    born, loaded = draft.events
    lot = {"epcClass": LOT["epcClass"], "quantity": 1180.5, "uom": "KGM"}
    assert (born["bizStep"], born["quantityList"]) == ("commissioning", [lot])
    assert (loaded["parentID"], loaded["childQuantityList"]) == (into, [lot])


def test_an_emptied_container_has_all_its_children_out() -> None:
    container = "urn:epc:id:grai:9506000.00300.7"
    body = {"type": "line.empty", "time": T0_S, "container": container}
    event = only_event(plan_of(STATION), message(body, "gate/line"))
    assert (event["action"], event["parentID"]) == ("DELETE", container)
    assert "childEPCs" not in event


def test_a_batch_becomes_a_transformation_of_what_came_by_in_its_time() -> None:
    messages = [start(0), *reads((7, 1), (8, 2)), batch("end", 3), *reads((9, 2.5), start=9)]
    event = only_event(plan_of(STATION, FILL), *messages)
    assert event["type"] == "TransformationEvent"
    assert event["inputQuantityList"] == [
        {"epcClass": "urn:epc:class:lgtin:9506000.012345.L1", "quantity": 900}
    ]
    assert event["outputEPCList"] == [sgtin(7), sgtin(8), sgtin(9)]
    assert event["transformationID"] == "urn:epc:id:gdti:9506000.00001.1"
    assert event["eventTime"] == "2026-01-05T08:00:03.000Z"
    assert event["ilmd"] == {"cbvmda:lotNumber": "LOT1"}
    assert event["tagtrail:evidence"]["messages"] == 5  # type: ignore[index]


def test_reads_on_the_edge_of_two_batches_go_where_their_time_says() -> None:
    messages = [start(0), *reads((7, 1), (8, 3.5)), batch("end", 3), start(3.2, "B-2")]
    messages += [*reads((9, 4), start=9), batch("end", 5, "B-2"), END]
    _, outcome = run_site(plan_of(STATION, FILL), messages)
    outputs = [event["outputEPCList"] for event in events_of(outcome)]
    assert outputs == [[sgtin(7)], [sgtin(8), sgtin(9)]]
    assert outcome.unresolved == []


def test_a_batch_ends_once_the_station_reads_on_after_its_gap() -> None:
    messages = [start(0), *reads((7, 1)), batch("end", 2), *reads((8, 60), start=9)]
    _, outcome = run_site(plan_of(STATION, FILL), messages)
    assert [event["outputEPCList"] for event in events_of(outcome)] == [[sgtin(7)]]


def test_an_ended_batch_ends_by_a_tick_as_well() -> None:
    site, outcome = run_site(
        plan_of(STATION, FILL), [start(0), *reads((7, 1)), batch("end", 2)]
    )
    assert site.next_tick_us() == T0 + 5_000_000
    site.take_message(tick(5), outcome)
    assert len(events_of(outcome)) == 1
    assert site.next_tick_us() is None


def test_outputs_without_a_batch_are_listed() -> None:
    _, outcome = run_site(plan_of(STATION, FILL), [*reads((7, 1)), END])
    (one,) = outcome.unresolved
    assert "no batch was open" in one.why
    assert one.epcs == (sgtin(7),)


def test_a_batch_that_nobody_ended_ends_with_the_next_and_says_so() -> None:
    messages = [start(0), *reads((7, 1)), start(10, "B-2"), batch("end", 20, "B-2"), END]
    _, outcome = run_site(plan_of(STATION, FILL), messages)
    assert events_of(outcome)[0]["outputEPCList"] == [sgtin(7)]
    assert [one.why.split(" ", 3)[3] for one in outcome.unresolved] == [
        "was never ended; it is taken to end with the next",
        "ended without an output that was read",
    ]


def test_a_large_batch_is_split_and_its_inputs_are_said_once() -> None:
    tags = [{"epc": hex_of(n), "ts": T0_S + 1} for n in range(OUTPUTS_PER_EVENT_MAX + 1)]
    messages = [start(0), message(json.dumps(tags).encode()), batch("end", 2), END]
    _, outcome = run_site(plan_of(STATION, FILL), messages)
    first, second = events_of(outcome)
    assert first["transformationID"] == second["transformationID"]
    assert "inputQuantityList" not in second
    assert len(second["outputEPCList"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([batch("end", 1)], "no batch 'B-1' is open"),
        ([start(5), batch("end", 1)], "before it started"),
    ],
)
def test_a_batch_message_out_of_order_goes_to_quarantine(
    messages: list[Message], said: str
) -> None:
    _, outcome = run_site(plan_of(STATION, FILL), messages)
    ((_, fault),) = outcome.faults
    assert said in fault.why


def test_a_batch_at_a_station_that_makes_nothing_goes_to_quarantine() -> None:
    _, outcome = run_site(plan_of(STATION), [start(0)])
    assert "no transformation" in outcome.faults[0][1].why


def test_reads_on_a_topic_of_no_station_go_to_quarantine_once() -> None:
    payload = json.dumps([{"epc": hex_of(n), "antenna": 1} for n in range(3)]).encode()
    _, outcome = run_site(plan_of(STATION, OBJECT), [message(payload, "elsewhere", 5)])
    ((number, fault),) = outcome.faults
    assert number == 5
    assert (
        "no station of the plan takes the topic 'elsewhere', antenna 1 (3 times)" in fault.why
    )


def sample(
    value: float, second: float, device: str = "70B3D57ED0000001", heard: float = 0
) -> Message:
    body = {"device": device, "time": T0_S + second, "temperature": value, "humidity": 50}
    return message(body, "trucks/7", at=T0 + round(max(heard, second) * 1_000_000))


def test_samples_become_a_sensor_event_when_the_batch_is_full() -> None:
    messages = [sample(4.0, 0), sample(4.5, 120), sample(5.0, 60, heard=121)]
    _, outcome = run_site(plan_of(SENSOR), messages)
    (event,) = events_of(outcome)
    assert event["epcList"] == ["urn:epc:id:grai:9506000.00300.7"]
    assert event["bizStep"] == "sensor_reporting"
    elements = event["sensorElementList"]
    assert isinstance(elements, list)
    assert elements[1] == {
        "sensorMetadata": {
            "time": "2026-01-05T08:01:00.000Z",
            "deviceID": "urn:dev:mac:70b3d57ed0000001",
        },
        "sensorReport": [
            {"type": "Temperature", "value": 5.0, "uom": "CEL"},
            {"type": "RelativeHumidity", "value": 50.0, "uom": "P1"},
        ],
    }
    assert event["eventTime"] == "2026-01-05T08:02:00.000Z"


def test_samples_do_not_wait_for_a_full_batch_for_ever() -> None:
    plan = plan_of(SENSOR)
    _, outcome = run_site(plan, [sample(4.0, 0), sample(4.0, 1801), tick(1806)])
    assert len(events_of(outcome)) == 2


def test_a_sensor_of_a_place_has_a_read_point_and_no_goods() -> None:
    rule = SENSOR.replace(
        'asset = "urn:epc:id:grai:9506000.00300.7"', 'place = "urn:epc:id:sgln:9506000.00001.0"'
    )
    event = only_event(plan_of(rule), sample(4.0, 0))
    assert event["readPoint"] == {"id": "urn:epc:id:sgln:9506000.00001.0"}
    assert "epcList" not in event


def test_the_plan_says_which_number_of_a_payload_is_the_temperature() -> None:
    rule = SENSOR + 'values = {temp = "temperature"}\n'
    body = {
        "end_device_ids": {"device_id": "x", "dev_eui": "70B3D57ED0000001"},
        "uplink_message": {"received_at": T0_S, "decoded_payload": {"temp": 6, "volt": 3}},
    }
    event = only_event(plan_of(rule), message(body))
    assert '"value": 6.0, "uom": "CEL"' in json.dumps(event["sensorElementList"])
    assert "volt" not in json.dumps(event)


def test_a_sample_that_the_plan_does_not_know_goes_to_quarantine() -> None:
    other = sample(4.0, 0, device="somebody else's")
    useless = message({"device": "70B3D57ED0000001", "time": T0_S, "temperature": None}, "t")
    _, outcome = run_site(plan_of(SENSOR), [other, useless])
    whys = [fault.why for _, fault in outcome.faults]
    assert "no [[sensor]] of the plan" in whys[0]
    assert "has no quantity" in whys[1]


def test_a_snapshot_between_any_two_messages_changes_nothing() -> None:
    plan = plan_of(STATION, PACK, OBJECT, FILL, SENSOR)
    messages = [start(0), *reads((7, 1), (1, 1.5)), sample(4.0, 0), batch("end", 3)]
    messages += [*reads((8, 2.9), (9, 60), start=20), sample(5.0, 1), tick(9), sample(6.0, 2)]
    messages += [start(70, "B-2"), *reads((3, 71), start=30), END]
    _, whole = run_site(plan, messages)
    assert len(events_of(whole)) > 4
    outcome = Outcome(secret=SECRET)
    parts: dict[str, bytes] = {}
    for one in messages:
        site = Site(plan)
        assert site.restore(parts) == {}
        site.take_message(one, outcome)
        parts |= site.encode_parts()
    assert events_of(outcome) == events_of(whole)
    assert outcome.unresolved == whole.unresolved


def test_what_is_open_at_a_station_that_left_the_plan_is_listed() -> None:
    site, _ = run_site(plan_of(STATION, FILL, SENSOR), [start(0), *reads((7, 1)), sample(1, 1)])
    parts = site.encode_parts()
    gone = Site(plan_of(STATION.replace('"gate"', '"door"'))).restore(parts)
    whys = [one.why for found in gone.values() for one in found]
    assert [why.split("; ")[-1].split(", and ")[1] for why in whys] == [
        "1 samples were in no event",
        "the pass was open",
        "the batch B-1 was open",
    ]
    assert set(gone) == {"station:gate", "sensor:sensor 70B3D57ED0000001"}
