"""The errors of the house: what was wrong, where, and how it can be mended.

Three things go wrong with foreign input, and each has one type:

* `ParseError`: the bytes are not what their format says.
* `VerificationError`: the bytes parse, and what they claim is not true.
* `RefusedError`: the claim is true, and the rules do not admit it.

Pure: no I/O, no clock, no randomness.
"""


class TagtrailError(Exception):
    """What tagtrail raises at its user; the shell prints it without a traceback."""


class ParseError(TagtrailError):
    """Input that does not have the one accepted spelling of its format."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


class VerificationError(TagtrailError):
    """A signature, a proof or a commitment that does not hold."""


class RefusedError(TagtrailError):
    """A well-formed, verified statement that the rules of the log do not admit.

    `check` is the stable name of the first rule that failed, in the order of
    FORMATS section 2: aud, kid, signature, known, equivocation, key, iss, role,
    grade, epoch, seq, prev, seen, body.
    """

    def __init__(self, check: str, why: str) -> None:
        super().__init__(f"{check}: {why}")
        self.check = check
        self.why = why
