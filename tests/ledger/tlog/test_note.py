"""Signed notes and verifier keys."""

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog.note import (
    NOTE_BYTES_MAX,
    BadSignatureError,
    Ed25519Signer,
    Ed25519Verifier,
    Note,
    Signature,
    UnverifiedNoteError,
    format_note,
    format_vkey,
    parse_note,
    parse_vkey,
    sign_note,
    verified_signatures,
    verify_note,
)
from tests.ledger.tlog.vectors import Ed25519Key, load, names

TEXT = "The milk left the dairy.\nIt was cold.\n"
ONE = Ed25519Signer("one.example", Ed25519Key.of("one.example"))
TWO = Ed25519Signer("two.example", Ed25519Key.of("two.example"))


@pytest.mark.parametrize("name", names("note"))
def test_note_vectors_come_out_as_they_say(name: str) -> None:
    case = load(name)
    data = bytes.fromhex(case["note_hex"])
    verifiers = [Ed25519Verifier(parse_vkey(vkey)) for vkey in case["keys"]]
    if case["outcome"] == "malformed":
        with pytest.raises(ParseError, match="note"):
            parse_note(data)
        return
    note = parse_note(data)
    assert format_note(note) == data
    match case["outcome"]:
        case "verified":
            verify_note(note, verifiers)
            signers = [s.name for s in verified_signatures(note, verifiers)]
            assert signers == case["signers"]
        case "unverified":
            assert verified_signatures(note, verifiers) == ()
            with pytest.raises(UnverifiedNoteError):
                verify_note(note, verifiers)
        case "bad signature":
            with pytest.raises(BadSignatureError, match="does not verify"):
                verify_note(note, verifiers)
        case outcome:
            assert outcome == "ambiguous"
            with pytest.raises(VerificationError, match="two keys"):
                verify_note(note, verifiers)


def test_verifier_keys_have_one_spelling_and_their_own_id() -> None:
    vectors = load("vkey")
    for text in vectors["good"]:
        key = parse_vkey(text)
        assert format_vkey(key) == str(key) == text
    for text in vectors["bad"].values():
        with pytest.raises(ParseError, match="vkey"):
            parse_vkey(text)
    with pytest.raises(ParseError, match="UTF-8"):
        parse_vkey(vectors["good"][0].replace("one", "\udcff"))


def test_a_wrong_key_id_is_told_with_the_computed_one() -> None:
    good = load("vkey")["good"][0]
    with pytest.raises(ParseError, match=f"computed {good.split('+')[1]}"):
        parse_vkey(load("vkey")["bad"]["wrong-key-id"])


def test_what_is_signed_verifies_and_says_who_signed() -> None:
    data = sign_note(TEXT, [ONE, TWO])
    note = parse_note(data)
    assert note.text == TEXT
    verify_note(note, [Ed25519Verifier(ONE.key), Ed25519Verifier(TWO.key)])
    assert [(s.name, s.key_id) for s in note.signatures] == [
        (ONE.name, ONE.key_id),
        (TWO.name, TWO.key_id),
    ]


def test_a_new_signature_takes_the_place_of_the_signers_old_one() -> None:
    old = (
        Signature(name=ONE.name, key_id=ONE.key_id, signature=b"old"),
        Signature(name=TWO.name, key_id=TWO.key_id, signature=b"kept"),
    )
    note = parse_note(sign_note(TEXT, [ONE], existing=old))
    assert note.signatures[0] == old[1]
    verify_note(note, [Ed25519Verifier(ONE.key)])


@pytest.mark.parametrize(
    ("text", "signers"), [("no newline", [ONE]), (TEXT, []), ("tab\t\n", [ONE])]
)
def test_what_would_be_no_note_is_not_signed(text: str, signers: list[Ed25519Signer]) -> None:
    with pytest.raises(ParseError, match="note"):
        sign_note(text, signers)


@pytest.mark.parametrize("name", ["bad name", "", "a+b", "x AAAAAAAA\n— y", "\udcff"])
def test_a_key_of_a_bad_name_signs_nothing(name: str) -> None:
    old = Signature(name=name, key_id=1, signature=b"x")
    with pytest.raises(ParseError, match="note signature"):
        sign_note(TEXT, [ONE], existing=[old])
    with pytest.raises(ParseError, match="note signature"):
        sign_note(TEXT, [Ed25519Signer(name, Ed25519Key.of("one.example"))])


def test_a_note_of_a_megabyte_and_more_is_refused_unread() -> None:
    line = format_note(
        Note(text="\n", signatures=parse_note(sign_note("\n", [ONE])).signatures)
    )
    padding = b"a" * (NOTE_BYTES_MAX - len(line))
    assert len(parse_note(padding + line).text) == len(padding) + 1
    with pytest.raises(ParseError, match="longer than"):
        parse_note(b"a" + padding + line)
