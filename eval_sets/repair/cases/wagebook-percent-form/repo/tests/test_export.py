"""The spreadsheet that the payroll office gets."""

from openpyxl import load_workbook

from export import write_workbook


def test_one_row_a_person(tmp_path):
    path = tmp_path / "pay.xlsx"
    write_workbook(path, [])
    assert load_workbook(path).active.max_row == 1
