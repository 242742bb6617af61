"""Bring, clean, learn from and look at human, animal and robot motion."""

__version__ = "0.1.0"

from .core.registry import front_door

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
__getattr__ = front_door(__name__, _FRONT_DOOR)
__dir__ = lambda: sorted(__all__)
