"""The evidence: an append-only log of signed EPCIS statements and what they prove."""
