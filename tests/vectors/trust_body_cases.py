"""Trust vectors about every other kind of statement: whose it is to say, and its body.

The name of each function is the name of the vector's file.
"""

from ledger.cose import encode_cbor
from ledger.statement import (
    Anchor,
    Body,
    Capture,
    Equivocation,
    Erasure,
    Gap,
    KeyOp,
    Policy,
)
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import (
    EMPTY_ROOT,
    Hash,
    TreeSize,
    leaf_hash,
    prove_consistency,
    tree_root,
)
from ledger.tlog.note import COSIGNATURE_ED25519, VerifierKey, format_vkey
from ledger.tlog.note import Ed25519Signer as NoteSigner
from tests.ledger.memory_log import (
    DAIRY,
    HEARTBEAT,
    OPERATOR,
    Writer,
    enrolment,
    signer_named,
)
from tests.vectors.scene import Scene, ending, members, new_epoch, writer_named

ROOT_OF_SOMETHING = leaf_hash(b"some event")
DIGEST = Hash(bytes(range(32)))
TWO_EVENTS = Capture(0, 2, ROOT_OF_SOMETHING)
KINDS: dict[str, Body] = {
    "capture": Capture(0, 1, ROOT_OF_SOMETHING),
    "anchor": Anchor("vkey", b"note", ()),
    "erasure": Erasure(((2, 0),), 0, DIGEST),
    "policy": Policy(1, DIGEST),
    "gap": Gap("reader 1", 0, 1, 2, None, "lost"),
    "equivocation": Equivocation(0, b""),
}
NEIGHBOUR = NoteSigner("neighbour.example/log", signer_named("neighbour"))
NEIGHBOUR_LEAVES = [leaf_hash(bytes((n,))) for n in range(9)]


def enrolled(scene: Scene, role: str) -> Writer:
    """Return a writer whose key of this role the admin has just enrolled."""
    writer = writer_named(f"a {role}", OPERATOR)
    assert scene.cast is not None
    scene.say(scene.cast.admin, enrolment(writer.signer, OPERATOR, role))
    return writer


def refuse_all_but(scene: Scene, writer: Writer, *allowed: str) -> None:
    for kind, body in KINDS.items():
        if kind not in allowed:
            scene.say(writer, body, "role")


# --- Which role says what -----------------------------------------------------------


def role_says_admin(scene: Scene) -> None:
    """An admin key says key ops and policy."""
    _, admin, _, _, _, _ = members(scene)
    refuse_all_but(scene, admin, "policy")
    scene.say(admin, KINDS["policy"])


def role_says_recovery(scene: Scene) -> None:
    """A recovery key says key ops."""
    _, _, recovery, _, _, _ = members(scene)
    refuse_all_but(scene, recovery)


def role_says_party(scene: Scene) -> None:
    """A party key says key ops, capture, erasure and policy."""
    _, _, _, dairy, _, _ = members(scene)
    refuse_all_but(scene, dairy, "capture", "erasure", "policy")
    scene.say(dairy, KINDS["capture"])
    scene.say(dairy, KINDS["policy"])


def role_says_gateway_or_device(scene: Scene) -> None:
    """A key of the edge says capture, gap, policy and erasure."""
    _, _, _, dairy, gateway, _ = members(scene)
    device = writer_named("device", DAIRY)
    scene.say(dairy, enrolment(device.signer, DAIRY, "device"))
    for writer in (gateway, device):
        refuse_all_but(scene, writer, "capture", "gap", "policy", "erasure")
        scene.say(writer, KINDS["capture"])
        scene.say(writer, KINDS["gap"])
        scene.say(writer, KINDS["policy"])


def role_says_capture(scene: Scene) -> None:
    """A capture key says capture."""
    capture = enrolled(scene, "capture")
    refuse_all_but(scene, capture, "capture")
    scene.say(capture, KINDS["capture"])


def role_says_privacy(scene: Scene) -> None:
    """A privacy key says erasure."""
    refuse_all_but(scene, enrolled(scene, "privacy"), "erasure")


def role_says_log(scene: Scene) -> None:
    """A log key says anchor and equivocation."""
    refuse_all_but(scene, enrolled(scene, "log"), "anchor", "equivocation")


def role_says_receipt_or_witness(scene: Scene) -> None:
    """Receipt and witness keys make no statements."""
    for role in ("receipt", "witness"):
        refuse_all_but(scene, enrolled(scene, role))


# --- Gap ----------------------------------------------------------------------------


def gap_ends_before_it_starts(scene: Scene) -> None:
    """A gap runs forward."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, Gap("reader 1", 2, 7, 6, None, "power cut"), "body")
    scene.say(gateway, Gap("reader 1", 2, 7, 7, 1, "power cut"))


# --- Erasure ------------------------------------------------------------------------


def erasure_of_events_of_one_s_own(scene: Scene) -> None:
    """A gateway erases what its kid signed, a party what its issuer said, privacy any."""
    log, _, _, dairy, gateway, _ = members(scene)
    privacy = enrolled(scene, "privacy")
    scene.say(gateway, TWO_EVENTS)
    at = log.size - 1
    scene.say(gateway, Erasure(((at, 0), (at, 1)), 17, DIGEST))
    scene.say(dairy, Erasure(((at, 0),), 17, DIGEST))
    scene.say(privacy, Erasure(((at, 1),), 17, DIGEST))


def erasure_of_another_key_s_events(scene: Scene) -> None:
    """A gateway cannot erase what its party signed, nor the farm what the dairy did."""
    log, _, _, dairy, gateway, farm = members(scene)
    scene.say(dairy, TWO_EVENTS)
    at = log.size - 1
    scene.say(gateway, Erasure(((at, 0),), 17, DIGEST), "body")
    scene.say(farm, Erasure(((at, 0),), 17, DIGEST), "body")


def erasure_of_what_is_not_there(scene: Scene) -> None:
    """A position past the count, an entry without events, an entry not yet in the log."""
    log, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, TWO_EVENTS)
    at = log.size - 1
    scene.say(dairy, Erasure(((at, 2),), 17, DIGEST), "body")
    scene.say(dairy, Erasure(((3, 0),), 17, DIGEST), "body")
    scene.say(dairy, Erasure(((at, 0), (at + 1, 0)), 17, DIGEST), "body")


# --- Equivocation -------------------------------------------------------------------


def equivocation_that_convicts_nobody(scene: Scene) -> None:
    """Two statements that are one, of two places, of two logs, unsigned, or none at all."""
    log, _, _, _, gateway, _ = members(scene)
    operator = enrolled(scene, "log")
    foreign = gateway.sign(HEARTBEAT, aud="other.example/log")
    unsigned = gateway.sign(TWO_EVENTS)[:-64] + bytes(64)
    first = scene.say(gateway, HEARTBEAT)
    at = log.size - 1
    for other in (first, foreign, gateway.sign(HEARTBEAT), unsigned, b"", encode_cbor([])):
        scene.say(operator, Equivocation(at, other), "body")
    scene.say(operator, Equivocation(log.size, foreign), "body")


def equivocation_before_a_new_epoch_suspends_nobody(scene: Scene) -> None:
    """Once a new epoch has lifted a suspension, the log needs a new proof."""
    log, _, _, dairy, gateway, _ = members(scene)
    operator = enrolled(scene, "log")
    other = gateway.sign(TWO_EVENTS)
    scene.say(gateway, HEARTBEAT)
    scene.say(operator, Equivocation(log.size - 1, other))
    scene.say(operator, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"))
    scene.say(dairy, new_epoch(scene, "gateway", 1))
    scene.say(operator, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway", epoch=1), "body")


# --- Anchor -------------------------------------------------------------------------


def anchor(size: int, proof: tuple[Hash, ...] = (), **changes: str) -> Anchor:
    """Return the anchor of the neighbour's log at `size`."""
    leaves = NEIGHBOUR_LEAVES[:size]
    root = tree_root(leaves) if leaves else EMPTY_ROOT
    origin = changes.get("origin", NEIGHBOUR.name)
    note = sign_checkpoint(
        Checkpoint(origin=origin, size=TreeSize(size), root=root), [NEIGHBOUR]
    )
    return Anchor(changes.get("vkey", format_vkey(NEIGHBOUR.key)), note, proof)


def anchor_extends_the_last(scene: Scene) -> None:
    """Each checkpoint of a neighbour is proven to extend the one anchored before."""
    operator = enrolled(scene, "log")
    scene.say(operator, anchor(3))
    scene.say(operator, anchor(3))
    scene.say(operator, anchor(8, prove_consistency(NEIGHBOUR_LEAVES[:8], TreeSize(3))))


def anchor_that_proves_nothing(scene: Scene) -> None:
    """No proof, a proof of nothing, a smaller log, an empty log, a stranger's signature."""
    operator = enrolled(scene, "log")
    stranger = NoteSigner(NEIGHBOUR.name, signer_named("stranger"))
    scene.say(operator, anchor(0), "body")
    scene.say(operator, anchor(3, (DIGEST,)), "body")
    scene.say(operator, anchor(3, vkey=format_vkey(stranger.key)), "body")
    scene.say(operator, anchor(3, vkey="neighbour.example/log"), "body")
    scene.say(operator, anchor(3, origin="other.example/log"), "body")
    scene.say(operator, Anchor(format_vkey(NEIGHBOUR.key), b"no note", ()), "body")
    scene.say(operator, anchor(3))
    scene.say(operator, anchor(8), "body")
    scene.say(operator, anchor(2), "body")


def anchor_under_a_witness_key(scene: Scene) -> None:
    """A cosignature is no log's signature: the type of the vkey is 0x01."""
    operator = enrolled(scene, "log")
    witness = VerifierKey(
        name=NEIGHBOUR.name, kind=COSIGNATURE_ED25519, public=NEIGHBOUR.private.x
    )
    scene.say(operator, anchor(3, vkey=format_vkey(witness)), "body")
