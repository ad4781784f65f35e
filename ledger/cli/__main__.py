"""Lets `python -m ledger.cli` be the command `tagtrail`."""

from ledger.cli import main

if __name__ == "__main__":
    main()
