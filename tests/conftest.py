"""What holds for every test."""

import pytest
from hypothesis import settings

# A machine that is busy is slow, and not wrong. All else stays as hypothesis has it, in CI too.
settings.register_profile("btcbot", parent=settings(), deadline=None)
settings.load_profile("btcbot")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups at the same moment.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what starts fleets in one process where tests are shared among several."""
    for item in items:
        if item.get_closest_marker("fleet"):
            item.add_marker(pytest.mark.xdist_group("fleet"))
