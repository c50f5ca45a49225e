from parcelquote.cli import main

from .conftest import CARD

ARGUMENTS = ["--card", str(CARD), "--from", "1010", "--to", "8020", "--size", "40x30x10"]


def test_a_quote_is_printed_with_its_total(capsys):
    assert main([*ARGUMENTS, "--weight", "2.6", "--ordered", "2024-06-04T10:00"]) == 0
    printed = capsys.readouterr().out
    assert "Parcel, zone east                 6.10" in printed
    assert "Total EUR                         6.56" in printed
    assert "Delivery on Wed 05 Jun 2024" in printed


def test_insurance_is_asked_for_by_its_value(capsys):
    assert main([*ARGUMENTS, "--weight", "2.6", "--value", "120"]) == 0
    assert "Insurance" in capsys.readouterr().out


def test_the_reason_goes_to_standard_error(capsys):
    assert main([*ARGUMENTS, "--weight", "40"]) == 1
    assert "40 kg is more than the 31.5 kg" in capsys.readouterr().err


def test_a_wrong_size_is_explained(capsys):
    arguments = ARGUMENTS[:-1] + ["big"]
    assert main([*arguments, "--weight", "1"]) == 1
    assert "write it like 40x30x20" in capsys.readouterr().err
