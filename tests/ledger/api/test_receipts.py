"""The receipt of a statement: fetched, held against the pinned key; no other is believed."""

import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.audit.trustfile import Trust, parse_trust
from ledger.client.http import CaptureClient, LedgerRefusedError, LedgerUnavailableError
from ledger.client.receipt import Receipt, fetch_receipt, pin_log, verify_receipt
from ledger.cose import Ed25519Signer as KeySigner
from ledger.entry import encode_entry, parse_entry
from ledger.errors import ParseError, TagtrailError, VerificationError
from ledger.tlog.note import Ed25519Signer, UnverifiedNoteError, format_vkey
from ledger.tlog.proof import format_tlog_proof, parse_tlog_proof
from tests.ledger.api.conftest import ANSWER_S, ORIGIN, Server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[CaptureClient]:
    with CaptureClient(server.url) as one:
        yield one


@pytest.fixture(scope="module")
def trust(server: Server) -> Trust:
    return parse_trust((server.folder / "trust.toml").read_bytes())


@pytest.fixture(scope="module")
def receipt(server: Server, client: CaptureClient, trust: Trust) -> Receipt:
    accepted = server.submit(1)
    index, own_id = int(str(accepted["index"])), bytes.fromhex(str(accepted["statement_id"]))
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            return fetch_receipt(client, index, statement_id=own_id, policy=trust.policy)
        except LedgerUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_receipt_verifies_offline_with_nothing_but_the_statement_id_and_the_vkey(
    receipt: Receipt, trust: Trust
) -> None:
    log, *_ = trust.policy.logs
    again = verify_receipt(
        receipt.data, statement_id=receipt.statement_id, policy=pin_log(format_vkey(log.key))
    )
    assert again == receipt
    assert receipt.index < receipt.checkpoint.size


def test_a_receipt_of_another_log_key_is_not_believed(receipt: Receipt) -> None:
    stranger = Ed25519Signer(ORIGIN, KeySigner(sha256(b"stranger").digest()))
    with pytest.raises(UnverifiedNoteError):
        verify_receipt(
            receipt.data,
            statement_id=receipt.statement_id,
            policy=pin_log(format_vkey(stranger.key)),
        )


def test_a_receipt_of_another_statement_is_not_believed(receipt: Receipt, trust: Trust) -> None:
    with pytest.raises(VerificationError, match="of statement"):
        verify_receipt(receipt.data, statement_id=bytes(32), policy=trust.policy)


def test_the_entry_in_a_receipt_cannot_be_dressed_up(receipt: Receipt, trust: Trust) -> None:
    proof = parse_tlog_proof(receipt.data)
    assert proof.extra is not None
    later = replace(parse_entry(proof.extra), record_time_us=receipt.record_time_us + 1)
    for forged in (
        replace(proof, extra=encode_entry(later)),
        replace(proof, index=proof.index - 1),
        replace(proof, extra=None),
    ):
        with pytest.raises(VerificationError):
            verify_receipt(
                format_tlog_proof(forged),
                statement_id=receipt.statement_id,
                policy=trust.policy,
            )


def test_no_flipped_byte_of_a_receipt_is_believed(receipt: Receipt, trust: Trust) -> None:
    for at in range(len(receipt.data)):
        forged = bytearray(receipt.data)
        forged[at] ^= 1
        with pytest.raises((ParseError, VerificationError)):
            verify_receipt(
                bytes(forged), statement_id=receipt.statement_id, policy=trust.policy
            )


def test_an_extra_line_that_is_no_entry_is_no_receipt(receipt: Receipt, trust: Trust) -> None:
    proof = parse_tlog_proof(receipt.data)
    assert proof.extra is not None
    swapped = receipt.data.replace(b64encode(proof.extra), b64encode(b"no entry"))
    with pytest.raises(ParseError):
        verify_receipt(swapped, statement_id=receipt.statement_id, policy=trust.policy)


def test_an_index_that_the_log_does_not_have_is_refused_for_good(
    client: CaptureClient, trust: Trust
) -> None:
    with pytest.raises(LedgerRefusedError, match="no entry"):
        fetch_receipt(client, 10**9, statement_id=bytes(32), policy=trust.policy)


def test_a_receipt_of_another_index_is_told(
    client: CaptureClient, receipt: Receipt, trust: Trust
) -> None:
    with pytest.raises(TagtrailError):
        fetch_receipt(
            client, receipt.index - 1, statement_id=receipt.statement_id, policy=trust.policy
        )
