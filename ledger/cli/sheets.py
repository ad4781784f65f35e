"""Reads the cells of CSV files and Excel workbooks as text."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from ledger.epcis.sheet import Cell, Sheet, Unreadable, read_sheet
from ledger.errors import ParseError, TagtrailError

SHEET_BYTES_MAX = 64 * 1024 * 1024
UNPACKED_BYTES_MAX = 512 * 1024 * 1024
SHEET_SUFFIXES = (".csv", ".xlsx")
_DELIMITERS = ",;\t"
_CHUNK_BYTES = 1024 * 1024
_FORMULA = re.compile(rb"<f[ >/]")
_NUMBER_END = 10**15  # A spreadsheet keeps fifteen digits of a number, and zeros after them.


def load_sheet(path: Path) -> Sheet:
    """Return what a spreadsheet says; `ParseError` where it is none."""
    data = path.read_bytes()
    if len(data) > SHEET_BYTES_MAX:
        raise ParseError(path.name, f"is over {SHEET_BYTES_MAX} bytes; split it")
    rows = _rows_of_csv(data) if path.suffix.lower() == ".csv" else _rows_of_workbook(data)
    numbered = enumerate(rows, start=1)
    header = next(numbered, (1, ()))[1]
    return read_sheet(header, numbered)


def _rows_of_csv(data: bytes) -> Iterator[Sequence[Cell]]:
    """Yield the rows of a CSV file in UTF-8, divided by comma, semicolon or tab."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"is no UTF-8 at byte {error.start}; save it as CSV UTF-8"
        raise ParseError("CSV", why) from None
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise ParseError("CSV", str(error)) from None


def _rows_of_workbook(data: bytes) -> Iterator[Sequence[Cell]]:
    """Yield the rows of the first sheet of an .xlsx workbook; formulas as last computed.

    A formula that no program has computed yet is yielded itself.
    """
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 - an extra of its own
        from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415
    except ModuleNotFoundError as error:
        why = "a workbook needs the package openpyxl: pip install 'tagtrail[spreadsheet]'"
        raise TagtrailError(why) from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(one.file_size for one in archive.infolist())
            if unpacked > UNPACKED_BYTES_MAX:
                raise ParseError("workbook", f"unpacks to {unpacked} bytes; split it")
            has_formulas = _has_formulas(archive)
        modes = (True, False) if has_formulas else (True,)
        books = [load_workbook(io.BytesIO(data), read_only=True, data_only=m) for m in modes]
        try:
            sheets = [one.worksheets[0].iter_rows(values_only=True) for one in books]
            for rows in zip(*sheets, strict=True):
                yield [_cell(*values) for values in zip(*rows, strict=True)]
        finally:
            for book in books:
                book.close()
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        KeyError,
        ValueError,
        IndexError,
    ) as error:
        raise ParseError("workbook", f"is no .xlsx workbook: {error}") from None


def _has_formulas(archive: zipfile.ZipFile) -> bool:
    """Say whether a sheet may hold a formula: most do not, and need not be read twice."""
    for one in archive.infolist():
        if one.filename.startswith("xl/worksheets/"):
            with archive.open(one) as member:
                end = b""
                while chunk := member.read(_CHUNK_BYTES):
                    if _FORMULA.search(end + chunk):
                        return True
                    end = chunk[-2:]
    return False


def _cell(value: object, formula: object = None) -> Cell:
    """Return a cell as it is read: a whole number without a point, a date in ISO form."""
    if value is None:
        is_formula = isinstance(formula, str) and formula.startswith("=")
        return str(formula) if is_formula else ""
    if isinstance(value, int | float) and abs(value) >= _NUMBER_END:
        mend = "format the cells as text, then write all digits again"
        return Unreadable(str(value), f"is the number {value:.15g}: digits are lost", mend)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return str(value)
