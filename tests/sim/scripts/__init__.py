"""What each call gives in each condition: one short script per condition, for ``World``. The names say the condition."""

from tests.sim.scripts import binding, connecting, ending, fresh, listening, options, transfer
from tests.sim.scripts.registry import SCRIPTS

__all__ = ["SCRIPTS", "binding", "connecting", "ending", "fresh", "listening", "options", "transfer"]
