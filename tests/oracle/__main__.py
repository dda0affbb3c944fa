"""Compare every combination and print what came of it as JSON: ``python -m tests.oracle [--first] [PLACE ...]``.

``--first`` stops at the first difference. A PLACE, such as "TIME-WAIT", limits the comparison to those whose name begins so.
"""

import json
import sys

from tests.oracle.table import CASES, compare

SHOWN = 20
"""Differences that are printed in full: the first ones tell what is wrong."""


def main(arguments: list[str]) -> int:
    """The whole comparison; exit code 1 where something differs."""
    places = tuple(argument for argument in arguments if argument != "--first") or ("",)
    combinations = 0
    found: list[str] = []
    for case in (case for case in CASES if case.place.startswith(places)):
        for segment, differences in compare(case):
            combinations += 1
            if differences:
                found.append(f"{case}: {segment}: {'; '.join(differences)}")
        if found and "--first" in arguments:
            break
    print(json.dumps({"combinations": combinations, "differences": len(found)}))
    for line in found[:SHOWN]:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
