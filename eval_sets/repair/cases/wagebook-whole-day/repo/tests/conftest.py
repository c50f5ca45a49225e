import sys
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


@pytest.fixture
def contract():
    from pay import Contract

    return Contract("Mia", Decimal(20))


@pytest.fixture
def sheet():
    from hours import parse_sheet

    return parse_sheet
