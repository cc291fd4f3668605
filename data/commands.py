"""The commands of the toolkit and where their options stand: ``--help`` is answered from these alone, before any slow import."""

from __future__ import annotations

import importlib
import sys

#: Dataclass of options of each command, as ``module:class``; the modules import neither numba, torch nor matplotlib.
OPTIONS = {
    "lagrangian.run": "lagrangian.config:RunConfig",
    "learning.fit": "learning.config:FitConfig",
    "learning.predict": "learning.config:PredictConfig",
    "evaluation.report": "evaluation.options:ReportConfig",
    "evaluation.diagnostics": "evaluation.options:DiagnosticsConfig",
    "evaluation.correlation": "evaluation.options:CorrelationConfig",
    "evaluation.satellite": "evaluation.options:SatelliteConfig",
    "evaluation.twin_experiment": "evaluation.options:TwinExperimentConfig",
    "evaluation.animation": "evaluation.options:AnimationConfig",
    "data.twin": "data.twin.options:TwinConfig",
    "data.download": "data.download:DownloadConfig",
}


def options_of(command: str) -> type:
    """The dataclass of a command's options.

    >>> options_of("evaluation.report").__name__
    'ReportConfig'
    """
    module, name = OPTIONS[command].split(":")
    return getattr(importlib.import_module(module), name)


def answer_help() -> None:
    """In ``python -m COMMAND … --help``: print the help and exit; in anything else do nothing."""
    command = _command_of(getattr(sys, "orig_argv", []))
    arguments = sys.argv[1:]
    if command not in OPTIONS or not {"-h", "--help"} & set(arguments):
        return
    from data.command import run_command

    sys.exit(run_command(options_of(command), lambda config: 0, prog=command, argv=arguments))


def _command_of(argv: list[str]) -> str:
    """The module of ``python … -m MODULE …``; empty where Python was started otherwise."""
    return argv[argv.index("-m") + 1] if "-m" in argv[:-1] else ""
