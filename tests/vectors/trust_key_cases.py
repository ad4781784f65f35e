"""Trust vectors about key statements: roles of keys, and every op with what it asks for.

The name of each function is the name of the vector's file.
"""

from dataclasses import replace

from ledger.cose import key_thumbprint
from ledger.statement import KeyOp, Last, Policy
from ledger.tlog.merkle import Hash
from tests.ledger.memory_log import (
    DAIRY,
    FARM,
    HEARTBEAT,
    OPERATOR,
    enrolment,
    signer_named,
)
from tests.vectors.scene import Scene, ending, members, new_epoch, rotation, writer_named

DIGEST = Hash(bytes(range(32)))


# --- Who may keep keys of which role ------------------------------------------------


def role_admin_admits_every_role_but_the_edge(scene: Scene) -> None:
    """The admin enrols party, log, receipt, capture, privacy and witness keys."""
    _, admin, _, _, _, _ = members(scene)
    for role in ("party", "log", "receipt", "capture", "privacy", "witness"):
        scene.say(admin, enrolment(signer_named(f"a {role}"), OPERATOR, role))
    for role in ("gateway", "device", "admin", "recovery", "auditor"):
        scene.say(admin, enrolment(signer_named(f"a {role}"), OPERATOR, role), "role")


def role_admin_ends_keys_of_the_edge(scene: Scene) -> None:
    """The admin may end or suspend a gateway, and neither rotate it nor open its epoch."""
    _, admin, _, dairy, _, _ = members(scene)
    scene.say(dairy, enrolment(signer_named("device"), DAIRY, "device"))
    scene.say(admin, rotation(scene, "gateway", "gateway 2"), "role")
    scene.say(admin, new_epoch(scene, "gateway", 1), "role")
    scene.say(admin, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"))
    scene.say(admin, ending(KeyOp.COMPROMISED, "gateway", DAIRY, "gateway"))
    scene.say(admin, ending(KeyOp.REVOKE, "device", DAIRY, "device"))


def role_admin_cannot_end_an_admin(scene: Scene) -> None:
    """Who takes the admin key cannot lock the others out."""
    _, admin, _, _, _, _ = members(scene)
    scene.say(admin, ending(KeyOp.REVOKE, "admin", OPERATOR, "admin"), "role")
    scene.say(admin, ending(KeyOp.REVOKE, "recovery", OPERATOR, "recovery"), "role")


def role_recovery_rotates_the_admin(scene: Scene) -> None:
    """The recovery key puts a new admin key in the place of the old one."""
    _, admin, recovery, _, _, _ = members(scene)
    scene.say(recovery, rotation(scene, "admin", "admin 2"))
    scene.say(admin, Policy(0, DIGEST), "key")
    scene.say(writer_named("admin 2", OPERATOR), Policy(0, DIGEST))


def role_recovery_ends_and_enrols_admins_alone(scene: Scene) -> None:
    """The recovery key may say nothing but key ops about admin keys."""
    _, _, recovery, _, _, _ = members(scene)
    scene.say(recovery, Policy(0, DIGEST), "role")
    scene.say(recovery, ending(KeyOp.REVOKE, "dairy", DAIRY, "party"), "role")
    scene.say(recovery, enrolment(signer_named("recovery 2"), OPERATOR, "recovery"), "role")
    scene.say(recovery, enrolment(signer_named("admin 2"), OPERATOR, "admin"))
    scene.say(recovery, ending(KeyOp.COMPROMISED, "admin", OPERATOR, "admin"))


def role_party_keeps_its_edge_alone(scene: Scene) -> None:
    """A party enrols gateways and devices, and no key of another role."""
    _, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, enrolment(signer_named("gateway 2"), DAIRY, "gateway"))
    scene.say(dairy, enrolment(signer_named("device"), DAIRY, "device"))
    for role in ("party", "admin", "log", "capture"):
        scene.say(dairy, enrolment(signer_named(f"a {role}"), DAIRY, role), "role")
    scene.say(dairy, ending(KeyOp.REVOKE, "dairy", DAIRY, "party"), "role")


def role_gateway_keeps_no_keys(scene: Scene) -> None:
    """A gateway enrols nobody."""
    _, _, _, _, gateway, _ = members(scene)
    scene.say(gateway, enrolment(signer_named("device"), DAIRY, "device"), "role")


def role_log_suspends_whom_an_equivocation_accuses(scene: Scene) -> None:
    """The log key's one key op is to suspend, and only after a proof."""
    _, admin, _, _, _, _ = members(scene)
    operator = writer_named("log", OPERATOR)
    scene.say(admin, enrolment(operator.signer, OPERATOR, "log"))
    scene.say(operator, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"), "role")
    scene.say(operator, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"), "body")


# --- Enrolment ----------------------------------------------------------------------


def enrol_a_kid_twice(scene: Scene) -> None:
    """A kid enrols once, even after it was revoked."""
    _, _, _, dairy, gateway, _ = members(scene)
    again = enrolment(gateway.signer, DAIRY, "gateway")
    scene.say(dairy, again, "body")
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"))
    scene.say(dairy, again, "body")


def enrol_for_another_issuer(scene: Scene) -> None:
    """The dairy enrols a gateway that would speak for the farm."""
    _, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, enrolment(signer_named("new"), FARM, "gateway"), "body")


def enrol_above_the_party_s_grade(scene: Scene) -> None:
    """A party of grade 2 cannot enrol a device of grade 3."""
    _, admin, _, _, _, _ = members(scene)
    shop = writer_named("shop", FARM)
    scene.say(admin, enrolment(shop.signer, FARM, "party", grade_max=2))
    scene.say(shop, enrolment(signer_named("new"), FARM, "device", grade_max=3), "body")
    scene.say(shop, enrolment(signer_named("new"), FARM, "device", grade_max=2))


def enrol_with_a_foreign_prefix(scene: Scene) -> None:
    """A child's prefix starts with one of its parent's."""
    _, _, _, dairy, _, _ = members(scene)
    narrow = enrolment(signer_named("new"), DAIRY, "gateway", prefixes=("95060001343",))
    for prefixes in (("4012345",), ("9506000", "4012345"), ("950600",), ("",)):
        scene.say(dairy, replace(narrow, prefixes=prefixes), "body")
    scene.say(dairy, narrow)


def enrol_without_prefixes(scene: Scene) -> None:
    """A key that may commission nothing binds nobody."""
    _, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, enrolment(signer_named("new"), DAIRY, "gateway", prefixes=()))


def enrol_with_what_an_enrolment_does_not_have(scene: Scene) -> None:
    """Each field that op 0 leaves empty, filled; each that it needs, left out."""
    _, _, _, dairy, _, _ = members(scene)
    body = enrolment(signer_named("new"), DAIRY, "gateway")
    for wrong in (
        replace(body, x=None),
        replace(body, pop=None),
        replace(body, epoch=1),
        replace(body, last=Last(0, DIGEST)),
        replace(body, suspect_since=0),
        replace(body, kid=DIGEST),
    ):
        scene.say(dairy, wrong, "body")
    scene.say(dairy, body)


def enrol_with_another_s_consent(scene: Scene) -> None:
    """The proof of possession is for another issuer, so it was copied from there."""
    _, _, _, dairy, _, _ = members(scene)
    body = enrolment(signer_named("new"), DAIRY, "gateway")
    stolen = enrolment(signer_named("new"), FARM, "gateway").pop
    scene.say(dairy, replace(body, pop=stolen), "body")


def enrol_a_key_of_small_order(scene: Scene) -> None:
    """A key under which some signature verifies for any message."""
    _, _, _, dairy, _, _ = members(scene)
    identity = (1).to_bytes(32, "little")
    body = enrolment(signer_named("new"), DAIRY, "gateway")
    forged = replace(
        body, x=identity, kid=Hash(key_thumbprint(identity)), pop=identity + bytes(32)
    )
    scene.say(dairy, forged, "body")


# --- Rotation -----------------------------------------------------------------------


def rotate_a_gateway(scene: Scene) -> None:
    """The old key ends at the entry, the new one starts a chain of its own after it."""
    _, _, _, dairy, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    scene.say(dairy, rotation(scene, "gateway", "gateway 2"))
    scene.say(gateway, HEARTBEAT, "key")
    scene.say(writer_named("gateway 2", DAIRY), HEARTBEAT)


def rotate_a_suspended_gateway(scene: Scene) -> None:
    """A suspended key may be rotated; its successor is not suspended."""
    _, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"))
    scene.say(dairy, rotation(scene, "gateway", "gateway 2"))
    scene.say(writer_named("gateway 2", DAIRY), HEARTBEAT)


def rotate_with_what_does_not_fit(scene: Scene) -> None:
    """Each way in which a rotation fits neither the old key nor the new one."""
    _, admin, _, dairy, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    body = rotation(scene, "gateway", "gateway 2")
    for wrong in (
        replace(body, last=None),
        replace(body, last=Last(0, DIGEST)),
        replace(body, epoch=1),
        replace(body, pop=None),
        replace(body, x=gateway.signer.x),
        replace(body, role="device"),
        replace(body, kid=DIGEST),
        replace(body, suspect_since=0),
        replace(body, grade_max=3, prefixes=("4012345",)),
    ):
        scene.say(dairy, wrong, "body")
    shop = writer_named("shop", FARM)
    scene.say(admin, enrolment(shop.signer, FARM, "party"))
    scene.say(shop, rotation(scene, "gateway", "gateway 2"), "body")


# --- New epoch ----------------------------------------------------------------------


def epoch_opens_at_the_newest_statement(scene: Scene) -> None:
    """A source that lost its state goes on in a new epoch, and the cut shows."""
    _, _, _, dairy, gateway, _ = members(scene)
    scene.say(dairy, new_epoch(scene, "gateway", 1))
    gateway.open_epoch(1)
    scene.say(gateway, HEARTBEAT)
    scene.say(dairy, new_epoch(scene, "gateway", 2))


def epoch_with_what_does_not_fit(scene: Scene) -> None:
    """Each way in which a new epoch does not continue its key."""
    _, _, _, dairy, gateway, _ = members(scene)
    stale = new_epoch(scene, "gateway", 1)
    scene.say(gateway, HEARTBEAT)
    body = new_epoch(scene, "gateway", 1)
    for wrong in (
        stale,
        replace(body, epoch=0),
        replace(body, epoch=2),
        replace(body, x=None),
        replace(body, x=signer_named("gateway 2").x),
        replace(body, pop=bytes(64)),
        replace(body, role="device"),
        replace(body, suspect_since=0),
        replace(body, last=Last(1, body.last.id if body.last else DIGEST)),
    ):
        scene.say(dairy, wrong, "body")
    scene.say(dairy, body)


def epoch_restates_the_record(scene: Scene) -> None:
    """A new epoch may change grade, heartbeat and prefixes, within the party's bounds."""
    log, _, _, dairy, gateway, _ = members(scene)
    scene.say(dairy, new_epoch(scene, "gateway", 1, prefixes=("4012345",)), "body")
    scene.say(dairy, new_epoch(scene, "gateway", 1, grade_max=1, heartbeat_s=60))
    gateway.open_epoch(1)
    assert log.state.keys[gateway.signer.kid].heartbeat_s == 60


# --- Revocation, compromise, suspension ---------------------------------------------


def ending_is_final(scene: Scene) -> None:
    """Nothing follows a revocation but the news that the key was compromised."""
    _, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"))
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"), "body")
    scene.say(dairy, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"), "body")
    scene.say(dairy, rotation(scene, "gateway", "gateway 2"), "body")
    scene.say(dairy, new_epoch(scene, "gateway", 1), "body")
    scene.say(dairy, ending(KeyOp.COMPROMISED, "gateway", DAIRY, "gateway"))
    scene.say(dairy, ending(KeyOp.COMPROMISED, "gateway", DAIRY, "gateway"), "body")


def ending_by_compromise_is_final(scene: Scene) -> None:
    """A compromised key is not revoked, rotated or suspended afterwards."""
    _, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, ending(KeyOp.COMPROMISED, "gateway", DAIRY, "gateway", suspect_since=3))
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"), "body")
    scene.say(dairy, rotation(scene, "gateway", "gateway 2"), "body")


def ending_names_any_logged_statement(scene: Scene) -> None:
    """A thief who keeps signing cannot block a revocation: `last` need not be the newest."""
    log, _, _, dairy, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    honest = log.state.chains[gateway.signer.kid].last
    scene.say(gateway, HEARTBEAT)
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway", last=honest))


def ending_with_what_does_not_fit(scene: Scene) -> None:
    """Each way in which an op from 3 to 5 says more than it may."""
    log, _, _, dairy, gateway, _ = members(scene)
    scene.say(gateway, HEARTBEAT)
    revoke = ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway")
    condemn = ending(KeyOp.COMPROMISED, "gateway", DAIRY, "gateway")
    for wrong in (
        replace(revoke, x=gateway.signer.x),
        replace(revoke, pop=bytes(64)),
        replace(revoke, grade_max=1),
        replace(revoke, heartbeat_s=1),
        replace(revoke, prefixes=("9506000",)),
        replace(revoke, epoch=1),
        replace(revoke, role="device"),
        replace(revoke, kid=DIGEST),
        replace(revoke, suspect_since=0),
        replace(revoke, last=Last(0, DIGEST)),
        replace(revoke, last=Last(7, DIGEST)),
        replace(condemn, suspect_since=None),
        replace(condemn, suspect_since=log.size + 1),
    ):
        scene.say(dairy, wrong, "body")


def ending_of_another_issuer_s_key(scene: Scene) -> None:
    """The farm cannot end the dairy's gateway."""
    _, _, _, _, _, farm = members(scene)
    scene.say(farm, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"), "body")
    scene.say(farm, ending(KeyOp.REVOKE, "gateway", FARM, "gateway"), "body")


def suspension_needs_an_open_key(scene: Scene) -> None:
    """A suspended key is not suspended again."""
    _, _, _, dairy, _, _ = members(scene)
    scene.say(dairy, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"))
    scene.say(dairy, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"), "body")
    scene.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"))
