"""Devices that sign: what is sound goes on byte for byte, what is not goes to quarantine."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.decode import Known, decode_message
from ingest.outbox import Outbox
from ingest.pipeline import Keeper, Processor
from ingest.planfile import parse_plan
from ingest.reads import Arrival, Fault, Signed
from ledger.cose import Ed25519Signer
from ledger.disclosure import (
    Submission,
    WholeEvent,
    commitment,
    decode_submission,
    encode_submission,
    events_root,
    withhold,
)
from ledger.epcis.event import split_event
from ledger.errors import ParseError
from ledger.statement import (
    NO_HASH,
    Capture,
    Claims,
    Link,
    Policy,
    parse_statement,
    sign_statement,
)
from ledger.tlog.merkle import Hash
from tests.ingest.scene import (
    DAIRY,
    HEAD,
    OBSERVE,
    ORIGIN,
    STATION,
    make_folder,
    message,
    plan_of,
    sgtin,
)
from tests.ingest.test_mapping import decode

DEVICE = Ed25519Signer(bytes(range(32)))
EVENT = {
    "eventID": "urn:uuid:7d8f9a10-1111-4222-8333-944455556666",
    "type": "ObjectEvent",
    "action": "OBSERVE",
    "eventTime": "2026-01-05T08:00:00.000Z",
    "eventTimeZoneOffset": "+00:00",
    "epcList": [sgtin(7)],
}


def submission(
    *, seq: int = 0, event: dict[str, object] | None = None, signer: Ed25519Signer = DEVICE
) -> bytes:
    whole = WholeEvent(bytes([seq]) * 32, split_event(event or EVENT))
    body = Capture(grade=3, count=1, root=events_root([commitment(whole)]))
    claims = Claims(iss=DAIRY, aud=ORIGIN, iat=1_767_600_000)
    raw = sign_statement(signer, claims, Link(0, seq, NO_HASH, None), body)
    return encode_submission(Submission(statement=raw, events=(whole,)))


def payload(data: bytes, **more: object) -> dict[str, object]:
    text = urlsafe_b64encode(data).rstrip(b"=").decode()
    return {"type": "tagtrail.submission/v1", "submission": text, **more}


def fault_of(said: object) -> str:
    decoded = decode("", said)
    assert decoded.items == ()
    (fault,) = decoded.faults
    assert isinstance(fault, Fault)
    return fault.why


def test_a_sound_submission_goes_on_byte_for_byte() -> None:
    data = submission()
    (found,) = decode("", payload(data)).items
    assert isinstance(found, Signed)
    assert found.submission == data
    assert (found.kid, found.seq, found.events) == (DEVICE.kid, 0, 1)


def test_an_event_of_which_parts_are_withheld_goes_on_too() -> None:
    whole = WholeEvent(bytes(32), split_event(EVENT))
    body = Capture(grade=3, count=1, root=events_root([commitment(whole)]))
    claims = Claims(iss=DAIRY, aud=ORIGIN, iat=1)
    raw = sign_statement(DEVICE, claims, Link(0, 0, NO_HASH, None), body)
    data = encode_submission(Submission(statement=raw, events=(withhold(whole, [5]),)))
    assert len(decode("", payload(data)).items) == 1


def other_event(data: bytes) -> bytes:
    return data.replace(b"08:00:00", b"09:00:00")


def other_root(_: bytes) -> bytes:
    body = Capture(grade=3, count=1, root=Hash(bytes(32)))
    claims = Claims(iss=DAIRY, aud=ORIGIN, iat=1)
    raw = sign_statement(DEVICE, claims, Link(0, 0, NO_HASH, None), body)
    whole = WholeEvent(bytes(32), split_event(EVENT))
    return encode_submission(Submission(statement=raw, events=(whole,)))


def other_kind(_: bytes) -> bytes:
    claims = Claims(iss=DAIRY, aud=ORIGIN, iat=1)
    body = Policy(kind=0, digest=Hash(bytes(32)))
    raw = sign_statement(DEVICE, claims, Link(0, 0, NO_HASH, None), body)
    return encode_submission(Submission(statement=raw, events=()))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_event, "root"),
        (other_root, "root"),
        (other_kind, "another kind"),
        (lambda data: data[:-1], "end"),
        (lambda data: data + b"\x00", "byte"),
        (lambda _: b"", "text"),
    ],
    ids=["other event", "other root", "other kind", "cut off", "longer", "empty"],
)
def test_what_does_not_hold_together_goes_to_quarantine(
    change: Callable[[bytes], bytes], reason: str
) -> None:
    assert reason in fault_of(payload(change(submission())))


@pytest.mark.parametrize(
    "said",
    [
        payload(submission(), note="hello"),
        {"type": "tagtrail.submission/v1"},
        {"type": "tagtrail.submission/v1", "submission": 5},
        {"type": "tagtrail.submission/v1", "submission": "gl=="},
        {"type": "tagtrail.submission/v1", "submission": "not base64!"},
    ],
)
def test_a_message_of_another_shape_goes_to_quarantine(said: object) -> None:
    assert fault_of(said)


def test_an_event_that_epcis_does_not_allow_goes_to_quarantine() -> None:
    wrong = EVENT | {"action": "PERHAPS"}
    assert fault_of(payload(submission(event=wrong)))


def test_where_the_plan_names_keys_only_these_sign() -> None:
    data = submission()
    signature = parse_statement(decode_submission(data).statement).signature
    forged = data.replace(signature, bytes(len(signature)))
    assert "signature" in fault_with_key(forged)
    stranger = Ed25519Signer(bytes(32))
    assert "has no key" in fault_with_key(submission(signer=stranger))
    assert fault_with_key(submission()) == ""


def fault_with_key(data: bytes) -> str:
    plan = parse_plan(f'device_keys = ["{DEVICE.x.hex()}"]\n{HEAD}{STATION}')
    decoded = decode_message(message(payload(data)), Known(keys=plan.device_keys))
    return " ".join(one.why for one in decoded.faults)


@pytest.mark.parametrize("text", ["ab", "G" * 64])
def test_a_key_that_is_none_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ParseError) as error:
        parse_plan(f'device_keys = ["{text}"]\n{HEAD}{STATION}')
    assert "line 1: device_keys" in str(error.value)


def test_a_submission_is_put_into_the_outbox_once_and_unchanged(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g", DAIRY)
    first, second = submission(seq=0), submission(seq=1)
    with (
        Processor(settings, plan_of(STATION, OBSERVE)) as processor,
        Keeper(settings.folder) as k,
    ):
        k.keep(
            [
                Arrival("gate/signed", json.dumps(payload(one), indent=n).encode(), 10**15 + n)
                for n, one in enumerate((first, second, first))
            ]
        )
        processor.process()
    with Outbox(settings.folder) as outbox:
        waiting = [one.submission for one in outbox.waiting(10)]
    assert waiting[-2:] == [first, second]
    assert waiting.count(first) == 1
