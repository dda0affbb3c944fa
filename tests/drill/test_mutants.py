"""Scripts with something changed at random: whatever that makes of them, there is an outcome, and no fault of the runner's own."""

import random
import re
from pathlib import Path

import pytest

from userstack.drill.errors import NotSupported, ScriptError
from userstack.drill.outcome import Outcome, Verdict
from userstack.drill.parser import parse
from userstack.drill.run import run_script

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent / "pass"
SCRIPTS = {str(path.relative_to(ROOT)): path.read_text("utf-8", "surrogateescape") for path in sorted(ROOT.rglob("*.pkt"))}
TOKEN = re.compile(r"\d+|\w+|[^\w\s]|\s+")
NUMBERS = (
    *map(str, (0, 1, 2, 3, 4, 7, 100, 1000, 1460, 65535, 65536, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 64)),
    "-1",
    "0x10",
    ".5",
)
WORDS = sorted({token for text in SCRIPTS.values() for token in TOKEN.findall(text) if not token.isspace()})
ROUNDS = 12
"""Mutants of each script."""


def mutate(text: str, draw: random.Random) -> str:
    """One to three changes: of a number, of a token, or of whole lines."""
    for _ in range(draw.randint(1, 3)):
        text = draw.choice((_change_number, _change_number, _change_token, _change_lines))(text, draw)
    return text


def _change_number(text: str, draw: random.Random) -> str:
    found = list(re.finditer(r"\d+", text))
    if not found:
        return text
    one = draw.choice(found)
    value = draw.choice((str(int(one[0]) + draw.choice((-1, 1))), draw.choice(NUMBERS)))
    return text[: one.start()] + value + text[one.end() :]


def _change_token(text: str, draw: random.Random) -> str:
    tokens = TOKEN.findall(text)
    at = draw.randrange(len(tokens))
    tokens[at : at + draw.randint(0, 1)] = draw.choice(([], [draw.choice(WORDS)], [draw.choice(WORDS)]))
    return "".join(tokens)


def _change_lines(text: str, draw: random.Random) -> str:
    lines = text.split("\n")
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(3):
        case 0:
            del lines[one]
        case 1:
            lines.insert(one, lines[other])
        case _:
            lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def outcome_of(text: str) -> Outcome | None:
    """What becomes of it; None where it is refused before it is run."""
    try:
        return run_script(parse(text))
    except (ScriptError, NotSupported):
        return None


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_mutant_has_an_outcome(name: str) -> None:
    for seed in range(ROUNDS):
        mutant = mutate(SCRIPTS[name], random.Random(f"{name} {seed}"))
        outcome = outcome_of(mutant)
        assert outcome is None or not outcome.message.startswith("internal"), (outcome, mutant)
        assert outcome is None or outcome.verdict in Verdict
