"""Runs one measure: see the package."""

import json
import sys
from collections.abc import Callable
from typing import Any

from userstack.bench.client.bulk import Measured, bulk_among, bulk_both, bulk_in, bulk_out
from userstack.bench.client.connections import many_at_once, one_after_another
from userstack.bench.client.flood import flood
from userstack.bench.client.held import hold
from userstack.bench.client.roundtrip import round_trip

MEASURES: dict[str, Callable[..., Measured]] = {
    measure.__name__: measure
    for measure in (bulk_in, bulk_out, bulk_both, bulk_among, one_after_another, many_at_once, round_trip, hold, flood)
}


def main(words: list[str]) -> None:
    """Run the measure and print what it gives."""
    name, address, *given = words
    settings: dict[str, Any] = {key: json.loads(value) for key, _, value in (word.partition("=") for word in given)}
    try:
        measured = MEASURES[name](address, **settings)
    except OSError as error:
        raise SystemExit(error.strerror or str(error)) from None
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
