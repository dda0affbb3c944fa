"""``run_script``: one script, one outcome."""

import traceback
from pathlib import Path

from userstack.address import format_address
from userstack.config import StackConfig
from userstack.drill.errors import Mismatch, NotSupported, ScriptError
from userstack.drill.hooks import Hooks, NoHooks
from userstack.drill.lacking import NOTHING, Lacking
from userstack.drill.outcome import Difference, Outcome, Verdict
from userstack.drill.runner import Runner
from userstack.drill.script import Place, Script
from userstack.drill.settings import Settings, Variant, check_known, read_settings
from userstack.drill.system import MakeSystem, System
from userstack.errors import InvalidArgument
from userstack.sim import VirtualHost


def run_script(
    script: Script,
    *,
    config: StackConfig | None = None,
    variant: Variant | None = None,
    strict: bool = False,
    hooks: Hooks | None = None,
    make_system: MakeSystem | None = None,
    lacking: Lacking = NOTHING,
) -> Outcome:
    """Run a script. Nothing is raised: what goes wrong is the outcome.

    Args:
        script: The parsed script. Its commands before the first event and after the last are the caller's: they make ``config``.
        config: The settings of the system under test; None for the defaults.
        variant: The IP version to run it over; None for the script's own.
        strict: Compare packet by packet: the stream must be cut into segments as the script has it.
        hooks: Who runs commands and code within the script; None: a script that has some is skipped.
        make_system: Makes the system under test; None: a ``VirtualHost``.
        lacking: What the system that the script was written for does, and that one does not.
    """
    runner: Runner | None = None
    try:
        check_known(script.options)
        settings = read_settings(script.options, variant)
        if not script.events:
            return Outcome(Verdict.PASSED)
        system = _make(make_system or virtual_host, settings, config or StackConfig())
        runner = Runner(script, system, settings, hooks=hooks or NoHooks(), strict=strict, lacking=lacking)
        runner.run()
    except NotSupported as error:
        return Outcome(Verdict.SKIPPED, error.reason, error.place or _reached(runner))
    except ScriptError as error:
        return Outcome(Verdict.FAILED, error.message, error.place)
    except Mismatch as error:
        difference = Difference(error.expected, error.got) if error.expected or error.got else None
        return Outcome(Verdict.FAILED, error.message, error.place, difference, runner.seen() if runner else ())
    except Exception as error:  # Law: a script never ends the run of the others. This is a fault of the runner, or of the system.
        return Outcome(Verdict.FAILED, f"internal: {_summary(error)}", _reached(runner), None, runner.seen() if runner else ())
    return Outcome(Verdict.PASSED, seen=runner.seen())


def virtual_host(addresses: list[str], mtu: int, config: StackConfig) -> System:
    """The system under test that scripts are run on."""
    return VirtualHost(addresses, mtu=mtu, config=config)


def _make(make_system: MakeSystem, settings: Settings, config: StackConfig) -> System:
    try:
        return make_system([f"{format_address(settings.local)}/{settings.prefix}"], settings.mtu, config)
    except InvalidArgument as error:
        raise ScriptError(None, f"option lines: {error.strerror}") from None


def _reached(runner: Runner | None) -> Place | None:
    return None if runner is None or runner.event is None else runner.event.place


def _summary(error: Exception) -> str:
    """The error and where in the source it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
