import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

SEASON = """
# spring
1. Rovers 2:1 Athletic
1. Harriers 0:0 Wanderers
2. Athletic 3:0 Harriers
2. Wanderers 1:2 Rovers
3. Harriers - Rovers
"""


@pytest.fixture
def league():
    from fixtures import parse
    from league import build

    return build("Spring", parse(SEASON))
