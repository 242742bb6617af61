"""Bring, clean, learn from and look at human, animal and robot motion."""

__version__ = "0.1.0"

from importlib import import_module

_FRONT_DOOR = {
    "read": "formats.registry",
    "write": "formats.registry",
    "clean": "cleanup.clean",
    "compare": "cleanup.compare.compare",
    "view": "viz.view",
    "Motion": "core.motion",
    "Scene": "core.motion",
    "Skeleton": "core.skeleton",
}
__all__ = ["__version__", *_FRONT_DOOR]


def __getattr__(name):
    "Import a front-door name when it is first asked for."
    if name not in _FRONT_DOOR:
        raise AttributeError(f"module 'motionbook' has no attribute {name!r}")
    value = getattr(import_module(f"motionbook.{_FRONT_DOOR[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
