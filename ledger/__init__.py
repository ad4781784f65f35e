"""The evidence: an append-only log of signed EPCIS statements, and what can be proven from it."""
