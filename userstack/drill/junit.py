"""The results as JUnit's XML, which continuous integration services read."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from userstack.drill.outcome import Outcome, Verdict
from userstack.drill.suite import Result
from userstack.errors import SetupError

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 2.2 has no place for."""


def write_junit(results: Sequence[Result], path: Path) -> None:
    """Write one ``testcase`` for each result.

    Raises:
        SetupError: the file cannot be written.
    """
    suite = ElementTree.Element(
        "testsuite",
        name="userstack drill",
        tests=str(len(results)),
        failures=str(_count(results, Verdict.FAILED)),
        skipped=str(_count(results, Verdict.SKIPPED)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_clean(str(result.case.path.parent)), name=_name(result), time=f"{result.seconds:.3f}"
        )
        _add_outcome(case, result.outcome)
    try:
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror}", error.errno or 0) from None


def _add_outcome(case: ElementTree.Element, outcome: Outcome) -> None:
    message = _clean(outcome.message)
    match outcome.verdict:
        case Verdict.FAILED:
            ElementTree.SubElement(case, "failure", message=message).text = _clean(_details(outcome))
        case Verdict.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=message)
        case Verdict.PASSED:
            pass


def _details(outcome: Outcome) -> str:
    lines = [f"{outcome.place}: {outcome.message}" if outcome.place else outcome.message]
    if outcome.difference is not None:
        lines += [f"expected: {outcome.difference.expected}", f"got:      {outcome.difference.got}"]
    return "\n".join(lines)


def _name(result: Result) -> str:
    variant = result.case.variant
    return _clean(result.case.path.name if variant is None else f"{result.case.path.name} ({variant.value})")


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def _count(results: Sequence[Result], verdict: Verdict) -> int:
    return sum(result.outcome.verdict is verdict for result in results)
