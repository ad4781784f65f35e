"""Trust vectors about who may say what, when: the checks from aud to seen, and bootstrap.

The name of each function is the name of the vector's file.
"""

from dataclasses import replace

from ledger.cose import decode_sign1, encode_sign1
from ledger.statement import (
    NO_HASH,
    Capture,
    Equivocation,
    KeyOp,
    Policy,
    Seen,
    parse_statement,
)
from ledger.tlog.merkle import Hash, leaf_hash
from tests.ledger.memory_log import (
    DAIRY,
    FARM,
    HEARTBEAT,
    OPERATOR,
    enrolment,
    signer_named,
)
from tests.vectors.edwards import sign_with_nonce
from tests.vectors.scene import Scene, ending, members, new_epoch, writer_named

ROOT_OF_SOMETHING = leaf_hash(b"some event")
DIGEST = Hash(bytes(range(32)))
ONE_EVENT = Capture(2, 1, ROOT_OF_SOMETHING)


# --- Bootstrap: played on an empty log ----------------------------------------------


def bootstrap_founds_a_log(scene: Scene) -> None:
    """Entry 0 enrols the admin key, signed by itself; entry 1 the recovery key."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "admin"))
    scene.say(admin, enrolment(signer_named("recovery"), OPERATOR, "recovery"))
    scene.say(admin, Policy(0, DIGEST))


def bootstrap_entry_0_is_no_key_statement(scene: Scene) -> None:
    """Nobody is enrolled before entry 0, so nothing but an enrolment can have a key."""
    scene.say(writer_named("admin", OPERATOR), Policy(0, DIGEST), "kid")


def bootstrap_entry_0_enrols_another_key(scene: Scene) -> None:
    """Entry 0 is signed by one key and enrols another."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(signer_named("other"), OPERATOR, "admin"), "kid")


def bootstrap_entry_0_kid_is_no_thumbprint(scene: Scene) -> None:
    """Entry 0 names itself as kid, beside the x of another key."""
    admin = writer_named("admin", OPERATOR)
    body = enrolment(signer_named("other"), OPERATOR, "admin")
    scene.say(admin, replace(body, kid=Hash(admin.signer.kid)), "kid")


def bootstrap_entry_0_has_a_false_signature(scene: Scene) -> None:
    """The key that entry 0 enrols did not sign it."""
    admin = writer_named("admin", OPERATOR)
    raw = admin.sign(enrolment(admin.signer, OPERATOR, "admin"))
    scene.submit(raw[:-64] + bytes(64), "signature")


def bootstrap_entry_0_speaks_for_another_issuer(scene: Scene) -> None:
    """Entry 0 enrols a key for one issuer and speaks as another."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "admin"), "iss", iss=FARM)


def bootstrap_entry_0_enrols_a_party(scene: Scene) -> None:
    """The first key is not an admin key."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "party"), "role")


def bootstrap_entry_0_has_epoch_1(scene: Scene) -> None:
    """The first chain does not start with epoch 0."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "admin"), "epoch", epoch=1)


def bootstrap_entry_0_has_seq_1(scene: Scene) -> None:
    """The first statement of the first chain was held back."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "admin"), "seq", seq=1)


def bootstrap_entry_0_has_a_prev(scene: Scene) -> None:
    """Entry 0 claims to follow something."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "admin"), "prev", prev=DIGEST)


def bootstrap_entry_0_has_seen_a_checkpoint(scene: Scene) -> None:
    """There is no checkpoint before entry 0."""
    admin = writer_named("admin", OPERATOR)
    body = enrolment(admin.signer, OPERATOR, "admin")
    scene.say(admin, body, "seen", seen=Seen(1, DIGEST))


def bootstrap_entry_0_has_no_proof_of_possession(scene: Scene) -> None:
    """The admin key consents to nothing."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, replace(enrolment(admin.signer, OPERATOR, "admin"), pop=None), "body")


def bootstrap_entry_1_is_no_enrolment(scene: Scene) -> None:
    """The admin speaks before a recovery key could ever end it."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "admin"))
    scene.say(admin, Policy(0, DIGEST), "role")


def bootstrap_entry_1_enrols_a_party(scene: Scene) -> None:
    """A party is admitted before there is a recovery key."""
    admin = writer_named("admin", OPERATOR)
    scene.say(admin, enrolment(admin.signer, OPERATOR, "admin"))
    scene.say(admin, enrolment(signer_named("dairy"), DAIRY, "party"), "role")


# --- aud, kid, signature ------------------------------------------------------------


def aud_of_another_log(scene: Scene) -> None:
    """A statement made for another log is replayed here."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, "aud", aud="other.example/log")


def kid_never_enrolled(scene: Scene) -> None:
    """A key of which the log knows nothing speaks."""
    members(scene)
    scene.say(writer_named("stranger", DAIRY), HEARTBEAT, "kid")


def signature_of_another_key(scene: Scene) -> None:
    """A stranger signs under the kid of the gateway."""
    _, _, _, _, gateway, _ = members(scene)
    parts = decode_sign1(gateway.sign(HEARTBEAT))
    message = parse_statement(gateway.sign(HEARTBEAT)).message
    forged = signer_named("stranger").sign(message)
    scene.submit(encode_sign1(parts.protected, parts.payload, forged), "signature")


def signature_with_one_bit_flipped(scene: Scene) -> None:
    """One bit of the payload changes after it was signed."""
    _, _, _, _, gateway, _ = members(scene)
    raw = bytearray(gateway.sign(ONE_EVENT))
    raw[-70] ^= 1
    scene.submit(bytes(raw), "signature")


# --- known, equivocation ------------------------------------------------------------


def known_statement_again(scene: Scene) -> None:
    """A delivery is repeated: the old index is the answer."""
    _, _, _, _, gateway, _ = members(scene)
    scene.submit(scene.say(gateway, HEARTBEAT), "known")


def known_statement_signed_again_with_another_nonce(scene: Scene) -> None:
    """A second valid signature over the same bytes is the same statement."""
    _, _, _, _, gateway, _ = members(scene)
    raw = scene.say(gateway, HEARTBEAT)
    parts, message = decode_sign1(raw), parse_statement(raw).message
    again = sign_with_nonce("gateway", message, nonce=12345)
    assert again != parts.signature
    scene.submit(encode_sign1(parts.protected, parts.payload, again), "known")


def known_statement_of_a_key_that_has_ended(scene: Scene) -> None:
    """What was logged stays known after the key was revoked."""
    _, _, _, dairy, gateway, _ = members(scene)
    raw = scene.say(gateway, HEARTBEAT)
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"))
    scene.submit(raw, "known")


def equivocation_two_statements_for_one_seq(scene: Scene) -> None:
    """A key signs two histories; the log keeps the second as a proof and suspends the key."""
    log, admin, _, _, gateway, _ = members(scene)
    operator = writer_named("log", OPERATOR)
    scene.say(admin, enrolment(operator.signer, OPERATOR, "log"))
    other = gateway.sign(ONE_EVENT)
    scene.say(gateway, HEARTBEAT)
    scene.submit(other, "equivocation")
    scene.say(operator, Equivocation(log.size - 1, other))
    scene.say(operator, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"))
    scene.say(gateway, HEARTBEAT, "key")


def equivocation_of_a_key_that_has_ended(scene: Scene) -> None:
    """Even an ended key is convicted, and there is nothing left to suspend."""
    log, admin, _, dairy, gateway, _ = members(scene)
    operator = writer_named("log", OPERATOR)
    scene.say(admin, enrolment(operator.signer, OPERATOR, "log"))
    other = gateway.sign(ONE_EVENT)
    scene.say(gateway, HEARTBEAT)
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"))
    scene.submit(other, "equivocation")
    scene.say(operator, Equivocation(log.size - 2, other))
    scene.say(operator, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"), "body")


def equivocation_in_an_epoch_that_has_closed(scene: Scene) -> None:
    """A second statement for a place in an old epoch is an equivocation still."""
    _, _, _, dairy, gateway, _ = members(scene)
    other = gateway.sign(ONE_EVENT)
    scene.say(gateway, HEARTBEAT)
    scene.say(dairy, new_epoch(scene, "gateway", 1))
    scene.submit(other, "equivocation")


# --- key, iss, role, grade ----------------------------------------------------------


def key_revoked(scene: Scene) -> None:
    """A revoked key signs at no later index."""
    _, _, _, dairy, gateway, _ = members(scene)
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"))
    scene.say(gateway, HEARTBEAT, "key")


def key_suspended_until_a_new_epoch(scene: Scene) -> None:
    """A suspension holds until the party opens a new epoch."""
    _, _, _, dairy, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    scene.say(dairy, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"))
    scene.say(gateway, HEARTBEAT, "key")
    scene.say(dairy, new_epoch(scene, "gateway", 1))
    gateway.open_epoch(1)
    scene.say(gateway, HEARTBEAT)


def key_of_a_gateway_whose_party_was_revoked(scene: Scene) -> None:
    """A gateway speaks only while a party key of its issuer is valid."""
    _, admin, _, _, gateway, _ = members(scene)
    scene.say(admin, ending(KeyOp.REVOKE, "dairy", DAIRY, "party"))
    scene.say(gateway, HEARTBEAT, "key")


def key_of_a_gateway_whose_party_is_suspended(scene: Scene) -> None:
    """A suspended party silences its gateways until its new epoch."""
    _, admin, _, _, gateway, _ = members(scene)
    scene.say(admin, ending(KeyOp.SUSPEND, "dairy", DAIRY, "party"))
    scene.say(gateway, HEARTBEAT, "key")
    scene.say(admin, new_epoch(scene, "dairy", 1))
    scene.say(gateway, HEARTBEAT)


def key_of_a_gateway_whose_issuer_keeps_a_second_party_key(scene: Scene) -> None:
    """One valid party key of the issuer is enough."""
    _, admin, _, _, gateway, _ = members(scene)
    scene.say(admin, enrolment(signer_named("dairy 2"), DAIRY, "party"))
    scene.say(admin, ending(KeyOp.REVOKE, "dairy", DAIRY, "party"))
    scene.say(gateway, HEARTBEAT)


def iss_of_another_party(scene: Scene) -> None:
    """A gateway of the dairy speaks for the farm."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, "iss", iss=FARM)


def grade_above_the_key_s(scene: Scene) -> None:
    """A gateway claims that its devices signed, which it was not enrolled for."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, Capture(3, 1, ROOT_OF_SOMETHING), "grade")
    scene.say(gateway, Capture(2, 1, ROOT_OF_SOMETHING))


def grade_2_of_a_capture_key(scene: Scene) -> None:
    """A capture key vouches for documents, grade 1 at most, whatever its enrolment says."""
    _, admin, _, _, _, _ = members(scene)
    capture = writer_named("capture", OPERATOR)
    scene.say(admin, enrolment(capture.signer, OPERATOR, "capture", grade_max=3))
    scene.say(capture, Capture(2, 1, ROOT_OF_SOMETHING), "grade")
    scene.say(capture, Capture(1, 1, ROOT_OF_SOMETHING))


# --- epoch, seq, prev, seen ---------------------------------------------------------


def epoch_that_nobody_opened(scene: Scene) -> None:
    """A source resets itself; only a key statement opens an epoch."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    scene.say(gateway, HEARTBEAT, "epoch", epoch=1, seq=0, prev=NO_HASH)


def epoch_closed_before_its_seq_was_used(scene: Scene) -> None:
    """A statement held back from a closed epoch comes too late, and is no equivocation."""
    _, _, _, dairy, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    held_back = gateway.sign(ONE_EVENT)
    scene.say(dairy, new_epoch(scene, "gateway", 1))
    scene.submit(held_back, "epoch")


def seq_skips_a_dropped_scan(scene: Scene) -> None:
    """A scan was dropped on the way: the next statement does not fit."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    scene.say(gateway, HEARTBEAT, "seq", seq=2)


def prev_of_a_reordered_chain(scene: Scene) -> None:
    """A statement names another one before it than the log holds."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    scene.say(gateway, HEARTBEAT, "prev", prev=DIGEST)


def prev_at_seq_0_is_not_zero(scene: Scene) -> None:
    """The first statement of a chain follows nothing."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, "prev", prev=DIGEST)


def seen_grows(scene: Scene) -> None:
    """A source names newer and newer checkpoints, or the same again."""
    log, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, seen=log.seen(2))
    scene.say(gateway, HEARTBEAT, seen=log.seen(2))
    scene.say(gateway, HEARTBEAT, seen=log.seen())


def seen_falls(scene: Scene) -> None:
    """A source names an older checkpoint than before."""
    log, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, seen=log.seen(4))
    scene.say(gateway, HEARTBEAT, "seen", seen=log.seen(3))


def seen_null_after_a_checkpoint(scene: Scene) -> None:
    """Null counts as size 0, so it cannot follow a checkpoint."""
    log, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, seen=log.seen(4))
    scene.say(gateway, HEARTBEAT, "seen")


def seen_of_size_0(scene: Scene) -> None:
    """An empty log has no checkpoint worth naming."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, "seen", seen=Seen(0, DIGEST))


def seen_from_the_future(scene: Scene) -> None:
    """A checkpoint larger than the log at this index."""
    log, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, "seen", seen=Seen(log.size + 1, DIGEST))


def seen_root_that_this_log_never_had(scene: Scene) -> None:
    """The source holds another history: its signed note and ours convict the log."""
    log, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, "seen", seen=Seen(log.size, DIGEST))


def seen_starts_again_in_a_new_epoch(scene: Scene) -> None:
    """`seen` never falls within a key and epoch; a new epoch starts from null."""
    log, _, _, dairy, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT, seen=log.seen(4))
    scene.say(dairy, new_epoch(scene, "gateway", 1))
    gateway.open_epoch(1)
    scene.say(gateway, HEARTBEAT)
