"""The commands of the toolkit and where their options stand: ``--help`` is answered from these alone, before any slow import."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, NamedTuple, cast

from data.errors import OptionError

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
    "evaluation.explorer": "evaluation.options:ExplorerConfig",
    "data.twin": "data.twin.options:TwinConfig",
    "data.download": "data.download:DownloadConfig",
}

#: Modules that an extra of pyproject.toml brings, by its name.
EXTRAS = {
    "learn": ("torch", "pytorch_lightning", "safetensors"),
    "distances": ("ot",),
    "cluster": ("dask_jobqueue",),
    "download": ("copernicusmarine",),
    "tensorboard": ("tensorboard",),
    "workbook": ("openpyxl",),
}
#: Commands that do nothing without an extra.
NEEDS = {"learning.fit": "learn", "learning.predict": "learn", "evaluation.twin_experiment": "learn"}

#: Commands that use no dask. xarray would import it, and distributed, to see that no array is dask's: half a second.
WITHOUT_DASK = ("evaluation.correlation",)


class Command(NamedTuple):
    """A subcommand of ``catchment``: its module (empty for those of ``catchment`` itself), its group, what it does."""

    module: str
    group: str
    about: str


SIMULATION, LEARNING, SATELLITES, TOOLS = "Particles", "Networks and scores", "Satellites and the trap", "Around them"
COMMANDS = {
    "run": Command("lagrangian.run", SIMULATION, "follow particles back from a trap; catchments, maps"),
    "check": Command("lagrangian.run", SIMULATION, "open all that a run needs, say what it will cost, write nothing"),
    "download": Command("data.download", SIMULATION, "fetch satellite maps, or an ocean, from Copernicus Marine"),
    "twin": Command("data.twin", SIMULATION, "write the idealised twin ocean as files"),
    "fit": Command("learning.fit", LEARNING, "train networks that predict catchments"),
    "predict": Command("learning.predict", LEARNING, "predict catchments of a run, or from satellite maps"),
    "diagnostics": Command("evaluation.diagnostics", LEARNING, "kinetic energy and vorticity around the traps"),
    "report": Command("evaluation.report", LEARNING, "score all models of a run in one HTML page"),
    "explorer": Command("evaluation.explorer", LEARNING, "one HTML file to explore catchments in"),
    "animate": Command("evaluation.animation", LEARNING, "a film of the particles of one experiment"),
    "satellite": Command("evaluation.satellite", SATELLITES, "draw predictions from satellite maps"),
    "correlate": Command("evaluation.correlation", SATELLITES, "trap flux against chlorophyll in the catchment, by lag"),
    "twin-experiment": Command("evaluation.twin_experiment", SATELLITES, "all of the satellite part where the truth is known"),
    "print-config": Command("", TOOLS, "print a command's options as a commented TOML file for --config"),
    "completion": Command("", TOOLS, "print the completion script of bash, zsh or fish"),
}
#: Other names of subcommands.
ALIASES = {"explore": "explorer", "correlation": "correlate", "animation": "animate", "twin_experiment": "twin-experiment"}


def words() -> list[str]:
    """Subcommands of ``catchment`` that are there."""
    return [word for word, command in COMMANDS.items() if not command.module or command.module in OPTIONS]


def options_of(command: str) -> type:
    """The dataclass of a command's options.

    >>> options_of("evaluation.report").__name__
    'ReportConfig'
    """
    module, name = OPTIONS[command].split(":")
    return getattr(importlib.import_module(module), name)


def word_of(kind: type) -> str:
    """The subcommand whose options a dataclass holds, also the name of its TOML table; empty if no subcommand has them."""
    place = f"{kind.__module__}:{kind.__qualname__}"
    modules = [module for module, options in OPTIONS.items() if options == place]
    return next((word for word, command in COMMANDS.items() if command.module in modules), "")


def missing_extra(command: str) -> str:
    """One line if modules that a command needs from an extra are not installed; empty if they are."""
    extra = NEEDS.get(command, "")
    lacking = [name for name in EXTRAS.get(extra, ()) if importlib.util.find_spec(name) is None]
    return install_line(lacking[0]) if lacking else ""


def install_line(module: str) -> str:
    """One line that tells how to install a missing module; empty if no extra brings the module."""
    name = module.partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if name in modules), "")
    return f"{name} is not installed, which this needs; pip install 'catchment-toolkit[{extra}]'" if extra else ""


def need_module(name: str) -> None:
    """See that an extra's module is installed.

    Raises
    ------
    OptionError
        It is not; the line says what to install.
    """
    if importlib.util.find_spec(name) is None:
        raise OptionError(install_line(name) or f"{name} is not installed, which this needs; pip install {name}")


def leave_out_dask(command: str) -> None:
    """In a process of its own, before xarray is imported: let it find no dask where the command uses none."""
    if command in WITHOUT_DASK:
        sys.modules.setdefault("dask", cast(Any, None))  # an import of it fails, as if it were not installed


def answer_early() -> bool:
    """For ``python -m COMMAND …``: print the help asked for, or a line on a missing module, and exit; else leave out what the
    command does not use.

    Returns whether it is a command of the toolkit.
    """
    command = _command_of(getattr(sys, "orig_argv", []))
    arguments = sys.argv[1:]
    if command not in OPTIONS:
        return False
    if {"-h", "--help"} & set(arguments):
        from data.command import run_command

        sys.exit(run_command(options_of(command), lambda config: 0, prog=command, argv=arguments))
    if line := missing_extra(command):
        print(f"{command}: {line}", file=sys.stderr)
        sys.exit(2)
    leave_out_dask(command)
    return True


def _command_of(argv: list[str]) -> str:
    """The module of ``python … -m MODULE …``; empty where Python was started otherwise."""
    return argv[argv.index("-m") + 1] if "-m" in argv[:-1] else ""
