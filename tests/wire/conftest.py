"""Fixtures of the codec tests."""

import pytest

from userstack.wire.codec import NAMES, Codec, make_codec


@pytest.fixture(params=NAMES)
def codec(request: pytest.FixtureRequest) -> Codec:
    """Each codec in turn."""
    return make_codec(request.param)
