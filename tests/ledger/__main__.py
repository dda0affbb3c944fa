"""Prove the ledger: ``python -m tests.ledger [ID...]`` tries the mutations, of those requirements or of all.

On the standard output stand the numbers as JSON, on the error output what is not as it has to be. Exit code 0 only if the tests
pass without a mutation and every mutation is killed.
"""

import json
import sys

from tests.ledger.mutations import MUTATIONS
from tests.ledger.proof import KILLED, prove, unchanged
from tests.ledger.rows import enter, read_requirements

UNCHANGED_TIME_LIMIT = 300.0
"""Seconds for the tests of all requirements together."""


def main(chosen: list[str]) -> int:
    """Run them and report."""
    mutations = [mutation for mutation in MUTATIONS if not chosen or mutation.requirement in chosen]
    rows = read_requirements()
    enter(rows, unchanged(UNCHANGED_TIME_LIMIT), "requirement")
    failed = [case for row in rows.values() for case, outcome in row.cases.items() if outcome not in ("passed", "not run")]
    for case in failed:
        print(f"unchanged: {case} does not pass", file=sys.stderr)
    killed = 0
    for proof in prove(rows, mutations):
        killed += proof.verdict == KILLED
        if proof.verdict != KILLED or chosen:
            print(f"{proof.verdict}: {proof.mutation.requirement} {proof.mutation.name}: {proof.detail}", file=sys.stderr)
    print(json.dumps({"killed": killed, "total": len(mutations)}))
    return 0 if mutations and not failed and killed == len(mutations) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
