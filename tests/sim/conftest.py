"""Fixtures of the tests in virtual time."""

import pytest

from tests.sim.nets import NETS, Net


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> Net:
    """Each family in turn."""
    return NETS[request.param]
