"""Spreadsheets: rows become events, complaints name row and column in plain words."""

import csv
from datetime import datetime
from pathlib import Path

import pytest

from ledger.cli.capture import convert_sheet
from ledger.cli.sheets import load_sheet
from ledger.epcis.document import events_of_document
from ledger.epcis.event import parse_event
from ledger.epcis.parts import parse_json
from ledger.epcis.received import EVENTS_MAX
from ledger.epcis.sheet import COLUMNS, Sheet, read_sheet
from ledger.errors import ParseError

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "events.csv"
HEADER = ["time", "zone", "gtin", "serial", "lot", "quantity", "unit", "epc", "sscc"]
ROW = ["2026-01-05 06:00", "+01:00", "09506000134352", "1"]


def read(*rows: list[str], header: list[str] = HEADER) -> Sheet:
    return read_sheet(header, enumerate(rows, start=2))


def test_the_example_is_one_of_each_and_has_no_fault() -> None:
    ready = convert_sheet(load_sheet(EXAMPLE))
    assert not ready.rejections
    document = parse_json(ready.body, "document")
    assert isinstance(document, dict)
    events = [parse_event(raw) for _, raw in events_of_document(document)]
    assert [one.type for one in events] == [
        "TransformationEvent",
        "AggregationEvent",
        "ObjectEvent",
        "ObjectEvent",
    ]
    made, packed, shipped, _ = events
    assert made.quantities[0].epc_class == "https://id.gs1.org/01/09506000134376/10/MILK-7"
    assert packed.parent_id == "https://id.gs1.org/00/395060001234567894"
    assert packed.child_epcs == made.output_epcs
    assert shipped.epc_list == (packed.parent_id,)
    assert shipped.sources == (("possessing_party", "https://id.gs1.org/417/9506000134352"),)
    assert ready.rows == ((2, 3, 4), (5, 6), (7,), (8,))


def test_the_same_rows_are_the_same_bytes() -> None:
    sheets = [convert_sheet(load_sheet(EXAMPLE)) for _ in range(2)]
    assert sheets[0].body == sheets[1].body


def test_the_example_shows_every_column() -> None:
    with EXAMPLE.open() as file:
        assert set(next(csv.reader(file))) == set(COLUMNS)


def test_the_page_names_every_column() -> None:
    page = (EXAMPLE.parents[1] / "reference" / "spreadsheet.md").read_text()
    assert all(f"| `{name}` |" in page for name in COLUMNS)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (["2026-01-05", "+01:00", "09506000134352", "1"], "time"),
        (["", "+01:00", "09506000134352", "1"], "time"),
        (["2026-01-05 06:00", "", "09506000134352", "1"], "zone"),
        (["2026-01-05 06:00", "CET", "09506000134352", "1"], "zone"),
        (["2026-01-05 06:00", "+15:00", "09506000134352", "1"], "zone"),
        (["2026-02-30 06:00", "+01:00", "09506000134352", "1"], "time"),
        (["05.01.2026 06:00", "+01:00", "09506000134352", "1"], "time"),
        (["2026-01-05 06:00", "+01:00", "09506000134352", "=A1"], "serial"),
        (["2026-01-05 06:00", "+01:00", "09506000134352", "#REF!"], "serial"),
        (["2026-01-05 06:00", "+01:00", "09506000134353", "1"], "gtin"),
        (["2026-01-05 06:00", "+01:00", "9.5E+12", "1"], "gtin"),
        (["2026-01-05 06:00", "+01:00", "", "1"], "serial"),
        ([*ROW, "", "5"], "quantity"),
        (["2026-01-05 06:00", "+01:00", "09506000134352", "", "L", "many"], "quantity"),
        ([*ROW, "", "", "", "urn:epc:id:sscc:9506000.1234567890"], "gtin"),
        (["2026-01-05 06:00", "+01:00", "", "", "", "", "", "banana"], "epc"),
        (["2026-01-05 06:00", "+01:00", "", "", "", "", "", "", "123"], "sscc"),
    ],
)
def test_a_rejection_names_row_and_column_and_the_mend(row: list[str], column: str) -> None:
    sheet = read(row)
    assert not sheet.events
    (rejection,) = sheet.rejections
    assert (rejection.row, rejection.column) == (2, column)
    assert str(rejection).startswith(f"row 2, {column}: ")
    assert rejection.mend


def test_rows_of_one_event_must_agree() -> None:
    header = ["event", "time", "zone", "step", "gtin", "serial"]
    sheet = read(
        ["A", "2026-01-05 06:00", "Z", "packing", "09506000134352", "1"],
        ["A", "", "", "shipping", "09506000134352", "2"],
        header=header,
    )
    (rejection,) = sheet.rejections
    assert (rejection.row, rejection.column) == (3, "step")


def test_a_fault_of_the_event_is_told_by_its_row() -> None:
    header = ["type", "time", "zone", "action", "gtin", "serial"]
    rows = ["aggregation", "2026-01-05 06:00", "Z", "ADD", "09506000134352", "1"]
    ready = convert_sheet(read(rows, header=header))
    assert [(one.row, one.column) for one in ready.rejections] == [(2, "parent")]
    assert not ready.rows


@pytest.mark.parametrize("header", [[], ["gtin"], ["time", "colour"], ["time", "time"]])
def test_a_header_that_is_none_is_refused(header: list[str]) -> None:
    with pytest.raises(ParseError):
        read_sheet(header, [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_file_may_be_divided_three_ways(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "events.csv"
    rows = [HEADER[:4], ROW]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(load_sheet(path).events) == 1


def test_what_is_no_spreadsheet_is_refused(tmp_path: Path) -> None:
    for name, data in (("a.xlsx", b"no"), ("a.csv", b"time\n\xff"), ("b.csv", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ParseError):
            load_sheet(path)


def test_a_workbook_is_read_as_the_csv_file_is(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="workbooks need openpyxl")
    book = openpyxl.Workbook()
    with EXAMPLE.open() as file:
        for row in csv.reader(file):
            book.active.append(row)
    path = tmp_path / "events.xlsx"
    book.save(path)
    book.close()
    assert convert_sheet(load_sheet(path)).body == convert_sheet(load_sheet(EXAMPLE)).body


def test_a_value_in_a_column_without_a_name_is_not_lost_unseen() -> None:
    for header in ([*HEADER[:4], ""], HEADER[:4]):
        sheet = read([*ROW, "surplus"], header=header)
        assert not sheet.events
        (rejection,) = sheet.rejections
        assert str(rejection).startswith("row 2: has 'surplus' in a column without a name.")
        assert read([*ROW, " "], header=header).events


def test_a_fault_of_one_thing_is_told_by_its_row() -> None:
    header = ["event", "time", "zone", "gtin", "lot", "quantity", "unit"]
    first = ["A", "2026-01-05 06:00", "Z", "09506000134352", "L1", "2", "KGM"]
    second = ["A", "", "", "09506000134352", "L2", "3", "kilo"]
    ready = convert_sheet(read(first, second, header=header))
    assert [(one.row, one.column) for one in ready.rejections] == [(3, "unit")]


def test_more_events_than_a_document_holds_are_told_at_once() -> None:
    with pytest.raises(ParseError, match=str(EVENTS_MAX)):
        read(*([ROW] * (EVENTS_MAX + 1)))


def workbook(tmp_path: Path, *rows: list[object]) -> Sheet:
    openpyxl = pytest.importorskip("openpyxl", reason="workbooks need openpyxl")
    book = openpyxl.Workbook()
    for row in (HEADER[:4], *rows):
        book.active.append(row)
    path = tmp_path / "cells.xlsx"
    book.save(path)
    book.close()
    return load_sheet(path)


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        (["2026-01-05 06:00", "Z", "09506000134352", "=B2"], "serial"),
        (["=NOW()", "Z", "09506000134352", "1"], "time"),
        (["2026-01-05 06:00", "Z", "09506000134352", 123456789012345678], "serial"),
        (["2026-01-05 06:00", "Z", "09506000134352", "#N/A"], "serial"),
        ([True, "Z", "09506000134352", "1"], "time"),
    ],
)
def test_a_cell_without_a_value_is_rejected_not_left_out(
    tmp_path: Path, cells: list[object], column: str
) -> None:
    sheet = workbook(tmp_path, cells)
    assert not sheet.events
    assert [(one.row, one.column) for one in sheet.rejections] == [(2, column)]


def test_a_workbook_may_hold_dates_and_numbers(tmp_path: Path) -> None:
    cells: list[object] = [datetime.fromisoformat("2026-01-05T06:10"), "Z", 9506000134352, 7]
    (event,) = workbook(tmp_path, cells).events
    assert event.raw["eventTime"] == "2026-01-05T06:10:00+00:00"
    assert event.raw["epcList"] == ["https://id.gs1.org/01/09506000134352/21/7"]
