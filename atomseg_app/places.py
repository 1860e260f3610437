"""Where the program keeps its own files: settings, logs, recovery, cache. ATOMSEG_HOME puts all in one folder."""

import os
from pathlib import Path

import platformdirs

_APP = "AtomSeg"


def _folder(kind: str, default: str) -> Path:
    home = os.environ.get("ATOMSEG_HOME")
    path = Path(home) / kind if home else Path(default)
    path.mkdir(parents=True, exist_ok=True)
    return path


def settings_folder() -> Path:
    """Folder of the settings file, made if absent."""
    return _folder("settings", platformdirs.user_config_dir(_APP, appauthor=False))


def log_folder() -> Path:
    """Folder of the rotating log, made if absent."""
    return _folder("logs", platformdirs.user_log_dir(_APP, appauthor=False))


def data_folder() -> Path:
    """Folder of recovery journals and user models, made if absent."""
    return _folder("data", platformdirs.user_data_dir(_APP, appauthor=False))


def cache_folder() -> Path:
    """Folder of what can be made again (array files of jobs, compiled kernels), made if absent."""
    return _folder("cache", platformdirs.user_cache_dir(_APP, appauthor=False))


def resources_folder() -> Path:
    """Folder of icons, samples and models: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    inside = package / "resources"
    return inside if inside.is_dir() else package.parent / "resources"
