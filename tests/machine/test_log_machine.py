"""The log as a state machine: append, restart and publish in any order, against a list."""

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.disclosure import Submission
from ledger.entry import parse_entry
from ledger.errors import RefusedError
from ledger.store.batch import Receipt
from ledger.store.intake import verify_submission
from ledger.store.publish import Publisher
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.merkle import (
    EMPTY_ROOT,
    Hash,
    TreeSize,
    leaf_hash,
    tree_root,
    verify_consistency,
)
from ledger.tlog.note import Ed25519Signer
from tests.ledger.store.parties import DAIRY, ORIGIN, Source, World


class LogMachine(RuleBasedStateMachine):
    """A real log on disk beside a model: the list of leaf hashes and of what was signed."""

    @initialize()
    def found(self) -> None:
        """Create the log."""
        self.world = World(Path(mkdtemp(prefix="log-machine-"))).found()
        self.sent: list[tuple[Submission, int]] = []
        self.signed: list[tuple[TreeSize, Hash]] = []
        self.open()
        self.leaves = [leaf_hash(e) for e in self.log.reader.load_entries(0, self.log.size)]

    def open(self) -> None:
        """Open log and publisher as a start does."""
        self.log = self.world.open()
        self.publisher = Publisher(
            origin=ORIGIN,
            reader=self.log.reader,
            signed=self.log.signed,
            signers=[Ed25519Signer(ORIGIN, self.world.log_key.key)],
            store_checkpoint=self.log.store_checkpoint,
        )

    def take(self, *submissions: Submission) -> list[Receipt | RefusedError]:
        """Append, and let the model follow what was taken."""
        outcomes = self.log.append([verify_submission(s, self.log.keys()) for s in submissions])
        new = self.log.reader.load_entries(len(self.leaves), self.log.size)
        self.leaves += map(leaf_hash, new)
        return outcomes

    @rule(counts=st.lists(st.integers(0, 3), min_size=1, max_size=40))
    def append(self, counts: list[int]) -> None:
        """Append a batch; each gets the next index."""
        start = len(self.leaves)
        submissions = [self.world.gateway.capture(count) for count in counts]
        outcomes = self.take(*submissions)
        assert [one.index for one in outcomes if isinstance(one, Receipt)] == list(
            range(start, start + len(counts))
        )
        self.sent += zip(submissions, range(start, start + len(counts)), strict=True)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Append what is there already; nothing is added."""
        submission, index = data.draw(st.sampled_from(self.sent))
        (outcome,) = self.take(submission)
        assert isinstance(outcome, Receipt)
        assert (outcome.index, outcome.known) == (index, True)

    @rule()
    def skip(self) -> None:
        """Append the one after the next; it is refused and nothing is added."""
        ahead = Source("gateway", DAIRY, seq=self.world.gateway.seq + 1)
        before = len(self.leaves)
        (outcome,) = self.take(ahead.capture(1, label="ahead"))
        assert isinstance(outcome, RefusedError)
        assert (outcome.check, len(self.leaves)) == ("seq", before)

    @rule()
    def restart(self) -> None:
        """Close and open again."""
        self.log.close()
        self.open()

    @rule()
    def publish(self) -> None:
        """Sign a checkpoint; it extends every one before."""
        note = self.publisher.publish(*self.log.committed)
        checkpoint = parse_signed_checkpoint(note).checkpoint
        new = (checkpoint.size, checkpoint.root)
        assert new == (len(self.leaves), tree_root(self.leaves))
        tree = self.log.reader.tree(checkpoint.size)
        for old in self.signed:
            proof = tree.prove_consistency(old[0]) if old[0] < new[0] else ()
            verify_consistency(proof, old=old, new=new)
        self.signed.append(new)

    @invariant()
    def is_the_model(self) -> None:
        """Size, root and the last link are those of the list."""
        if not hasattr(self, "leaves"):
            return
        assert self.log.committed == (len(self.leaves), tree_root(self.leaves))
        last = parse_entry(self.log.reader.load_entry(self.log.size - 1))
        assert last.prev_leaf_hash == self.leaves[-2]
        nothing = (TreeSize(0), EMPTY_ROOT)
        assert self.log.signed.load() == (self.signed[-1] if self.signed else nothing)

    def teardown(self) -> None:
        """Close the log and remove it."""
        if hasattr(self, "log"):
            self.log.close()
            rmtree(self.world.folder)


LogMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLogMachine = LogMachine.TestCase
