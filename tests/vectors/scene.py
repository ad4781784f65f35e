"""A scene of a trust vector: statements played against the real rules, and what came of each.

A scene starts from an empty log, or from the five entries of `full_cast`. Each step says
what it expects, `logged` or the name of the check that refuses, and a vector is only
written where that is what happens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ledger.errors import RefusedError
from ledger.statement import Body, Key, KeyOp, proof_of_possession
from ledger.tlog.merkle import Hash
from tests.ledger.memory_log import ORIGIN, Cast, MemoryLog, Writer, full_cast, signer_named

LOGGED = "logged"


@dataclass
class Scene:
    """What is said, step by step, after a base of entries."""

    says: str
    base: str
    log: MemoryLog
    cast: Cast | None = None
    steps: list[dict[str, str]] = field(default_factory=list)

    def say(self, writer: Writer, body: Body, expect: str = LOGGED, **changes: Any) -> bytes:
        """Sign the next statement of `writer` and submit it."""
        raw = writer.sign(body, **changes)
        if self.submit(raw, expect):
            writer.advance(self.log.statements[-1])
        return raw

    def submit(self, raw: bytes, expect: str) -> bool:
        """Submit bytes as they are; return whether they were logged."""
        outcome = LOGGED
        try:
            self.log.append(raw)
        except RefusedError as refusal:
            outcome = refusal.check
        assert outcome == expect, f"{self.says}: step {len(self.steps)} came out as {outcome}"
        self.steps.append({"statement": raw.hex(), "expect": outcome})
        return outcome == LOGGED

    def vector(self) -> dict[str, object]:
        return {
            "says": self.says,
            "origin": self.log.state.origin,
            "base": self.base,
            "steps": self.steps,
            "size": self.log.size,
            "root": self.log.root_at(self.log.size).hex(),
        }


Case = Callable[[Scene], None]


def play(case: Case, *, base: str) -> Scene:
    """Return the scene that `case` makes; its docstring is what the vector says."""
    says = " ".join((case.__doc__ or "").split())
    if base == "empty":
        scene = Scene(says, base, MemoryLog())
    else:
        cast = full_cast()
        scene = Scene(says, base, cast.log, cast)
    case(scene)
    return scene


def play_base() -> Scene:
    """Return the scene that makes `full_cast` out of an empty log."""
    scene = Scene("The log that the other vectors go on from.", "empty", MemoryLog())
    for statement in full_cast().log.statements:
        scene.submit(statement.raw, LOGGED)
    return scene


def members(scene: Scene) -> tuple[MemoryLog, Writer, Writer, Writer, Writer, Writer]:
    """Return log, admin, recovery, dairy, gateway and farm of a full cast."""
    cast = scene.cast
    assert cast is not None
    return cast.log, cast.admin, cast.recovery, cast.dairy, cast.gateway, cast.farm


def writer_named(name: str, iss: str) -> Writer:
    return Writer(signer_named(name), iss)


def ending(op: KeyOp, name: str, iss: str, role: str, **fields: Any) -> Key:
    """Return the body that revokes, condemns or suspends the key called `name`."""
    if op == KeyOp.COMPROMISED:
        fields = {"suspect_since": 0} | fields
    return Key(op, Hash(signer_named(name).kid), iss, role, **fields)


def new_epoch(scene: Scene, name: str, epoch: int, **fields: Any) -> Key:
    """Return the body that opens an epoch of the key called `name`, all else as it was."""
    kid = Hash(signer_named(name).kid)
    own = scene.log.state.keys[kid]
    restated: dict[str, Any] = {
        "x": own.x,
        "epoch": epoch,
        "last": scene.log.state.chains[kid].last,
        "grade_max": own.grade_max,
        "prefixes": own.prefixes,
    }
    return Key(KeyOp.NEW_EPOCH, kid, own.iss, own.role, **(restated | fields))


def rotation(scene: Scene, name: str, successor: str, **fields: Any) -> Key:
    """Return the body that puts the key `successor` in the place of the key `name`."""
    kid = Hash(signer_named(name).kid)
    own, new = scene.log.state.keys[kid], signer_named(successor)
    restated: dict[str, Any] = {
        "x": new.x,
        "last": scene.log.state.chains[kid].last,
        "grade_max": own.grade_max,
        "prefixes": own.prefixes,
        "pop": proof_of_possession(new, aud=ORIGIN, iss=own.iss),
    }
    return Key(KeyOp.ROTATE, kid, own.iss, own.role, **(restated | fields))
