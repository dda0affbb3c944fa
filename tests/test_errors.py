"""The errors go from process to process."""

import pickle

import pytest

from userstack import errors
from userstack.api.errors import Busy
from userstack.errors import AddressInUse, CallerError, ConnectionReset, SetupError, UserstackError


@pytest.mark.parametrize(
    "error",
    [
        SetupError("there is no TUN: load it", 19),
        AddressInUse("10.9.0.2 is in use"),
        ConnectionReset(),
        CallerError(16, "busy"),
        Busy("another task is in it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error: UserstackError) -> None:
    error.add_note("in worker 1")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.errno, again.strerror, str(again), again.args) == (error.errno, error.strerror, str(error), error.args)
    assert again.__notes__ == ["in worker 1"]


def test_every_error_without_arguments_is() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors._Numbered) and kind is not errors._Numbered:
            assert str(pickle.loads(pickle.dumps(kind()))) == str(kind())
