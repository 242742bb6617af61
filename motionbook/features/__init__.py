"""Motions as vectors; the functions that people ask for by name are offered here."""

from ..core.registry import front_door

_FRONT_DOOR = {
    "REPRESENTATIONS": "representation",
    "smpl_to_ik263": "humanml3d.ik263",
    "ik263_to_joints": "humanml3d.ik263",
    "smpl_to_rifke": "rifke.rifke",
    "rifke_to_smpl": "rifke.rifke",
    "keypoints_to_features": "points.keypoints",
    "mediapipe_to_stablemotion_features": "points.keypoints",
    "dlc_dataframe_to_features": "points.dlc_dataframe",
    "features_to_dlc_dataframe": "points.dlc_dataframe",
    "is_frame_corrupted": "points.dlc_dataframe",
    "columns_to_features": "points.markers",
}
__all__ = [*_FRONT_DOOR]
__getattr__ = front_door(__name__, _FRONT_DOOR)
__dir__ = lambda: sorted(__all__)
