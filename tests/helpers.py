"""What several tests need: where things are, numbers that agree, edits of a recording, and readers under attack."""

import os
import warnings
from pathlib import Path

import torch

from motionbook.core.files import BadFile
from motionbook.core.motion import Scene

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data" / "samples"


def find_real_data() -> Path | None:
    "The folder of real recordings: MOTIONBOOK_REAL_DATA, or shared/data beside the clone."
    given = os.environ.get("MOTIONBOOK_REAL_DATA")
    places = [Path(given)] if given else [ROOT.parent / "shared" / "data"]
    return next((p for p in places if p.is_dir()), None)


def real_files(*patterns: str) -> list[Path]:
    "Real recordings by pattern, none where there are none."
    root = find_real_data()
    return sorted({p for g in patterns for p in root.glob(g)}) if root else []


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    "The same shape and the same numbers to the bit, missing ones in the same places."
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def edited(scene: Scene, frame=1, joint=0, by=1.5, to=None, actor=0) -> Scene:
    "The scene with one point of one actor moved (a flat figure stays flat), filled, or put somewhere."
    actors = list(scene.actors)
    positions = actors[actor].positions.clone()
    flat = positions.shape[-1] == 3 and not positions[..., 2].nan_to_num().any()
    step = torch.tensor([1.0, 1.0, 0.0][: positions.shape[-1]]) if flat else 1.0
    new = positions[frame, joint].nan_to_num(100.25) + by * step if to is None else torch.tensor(to)
    positions[frame, joint] = new
    actors[actor] = actors[actor].replace(positions=positions)
    return scene.replace(actors=tuple(actors))


def survives(read, path: Path, data: bytes) -> Scene | None:
    "Read hostile bytes: a scene, or a clean refusal of one line; any other exception fails the test."
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            scene = read(path)
        except BadFile as err:
            assert str(err) and "\n" not in str(err), f"expected one line, got {str(err)!r}"
            return None
    assert isinstance(scene, Scene)
    return scene
