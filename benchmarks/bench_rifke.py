"""StableMotion's 232 numbers beside the published way, written from its description, in one process.

python benchmarks/bench_rifke.py [--frames 100 2000] [--dtype float32] [--repeats 60] [--data ../shared/data]

Single calls of the two ways alternate, with all checks of the input unless the line says otherwise. The ratio is
the median over these pairs, so that what else runs on the machine slows both; the ratio of the best calls stands
beside it. The published way has the asserts of the public script, but slices where that indexes and uses einops; the
script itself takes 1.2 to 1.4 times as long.
Errors are against the published way in double precision on the same numbers, also seven metres from the origin.
With real recordings, the largest errors of vectors, decoded joints and round trips are printed too.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from motionbook.body.smpl import approximate_body, body_joints
from motionbook.core.rotation import axis_rotation, matrix_to_rotvec, rotvec_to_matrix
from motionbook.features.rifke.rifke import RIFKE, rifke_to_smpl, smpl_to_rifke

FEET = [7, 10, 6, 9]  # in the 23 joints after the pelvis


# The published way: rotation vector -> quaternion -> matrix -> Euler angles ZYX -> matrices -> six numbers.


def quaternions(v):
    angle = v.norm(dim=-1, keepdim=True)
    half = angle / 2
    small = angle.abs() < 1e-6
    ratio = torch.empty_like(angle)
    ratio[~small] = half[~small].sin() / angle[~small]
    ratio[small] = 0.5 - angle[small] ** 2 / 48
    return torch.cat([half.cos(), v * ratio], -1)


def quaternion_matrices(q):
    w, x, y, z = q.unbind(-1)
    s = 2 / (q * q).sum(-1)
    entries = (
        1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w),
        s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w),
        s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


def zyx_angles(m):
    return torch.stack(
        [
            torch.atan2(m[..., 1, 0], m[..., 0, 0]),
            torch.asin(-m[..., 2, 0]),
            torch.atan2(m[..., 2, 1], m[..., 2, 2]),
        ],
        -1,
    )


def steps(x):
    v = x[1:] - x[:-1]
    return torch.cat([v, (v[-1] + (v[-1] - v[-2]))[None]])


def published_encode(poses, trans, joints):
    poses, joints, trans = poses.view(len(poses), -1, 3), joints.clone(), trans.clone()
    joints[..., 2] -= joints[..., 2].min()
    height, path = joints[:, 0, 2].clone(), joints[:, 0, :2].clone()
    assert ((trans[:, 2] - trans[0, 2]) - (height - height[0])).abs().mean() < 1e-6
    assert ((trans[:, :2] - trans[0, :2]) - (path - path[0])).abs().mean() < 1e-6
    joints[..., :2] -= path[:, None]
    joints[..., 2] -= joints[:, :1, 2].clone()
    assert (joints[:, 0] == 0).all()
    joints, path = joints[:, 1:], path - path[0]
    matrices = quaternion_matrices(quaternions(poses))
    z, y, x = zyx_angles(matrices[:, 0]).unbind(-1)
    left = axis_rotation("y", y) @ axis_rotation("x", x)
    turn = axis_rotation("z", z)
    joints = torch.einsum("tkj,tik->tij", turn, joints)
    path = torch.einsum("kj,ik->ij", turn[0, :2, :2], path)
    since = z - z[0]
    heading = torch.stack([since.cos(), since.sin()], -1)
    matrices = torch.cat([left[:, None], matrices[:, 1:]], 1)
    six = matrices[..., :2, :].clone().reshape(len(matrices), -1)
    feet = joints[:, FEET].clone()
    feet[..., :2] += path[:, None]
    feet[..., 2] += height[:, None]
    feet = feet.reshape(len(feet), -1)
    parts = (height[:, None], path, heading, six, joints.reshape(len(feet), -1), feet)
    return torch.cat([*parts, steps(feet), steps(path)], -1)


# The way back: six numbers -> matrices -> Euler angles -> matrices -> quaternions of four forms -> vectors.


def six_matrices(d):
    a, b = d[..., :3], d[..., 3:]
    a = F.normalize(a, dim=-1)
    b = F.normalize(b - (a * b).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.cross(a, b, dim=-1)], -2)


def matrix_quaternions(m):
    a, b, c, d, e, f, g, h, i = m.flatten(-2).unbind(-1)
    square = torch.stack([1 + a + e + i, 1 + a - e - i, 1 - a + e - i, 1 - a - e + i], -1)
    size = torch.zeros_like(square)
    size[square > 0] = square[square > 0].sqrt()
    w, x, y, z = (size**2).unbind(-1)
    forms = torch.stack(
        [
            torch.stack([w, h - f, c - g, d - b], -1),
            torch.stack([h - f, x, d + b, c + g], -1),
            torch.stack([c - g, d + b, y, f + h], -1),
            torch.stack([d - b, g + c, h + f, z], -1),
        ],
        -2,
    ) / (2 * size[..., None].clamp_min(0.1))
    return forms[F.one_hot(size.argmax(-1), 4) > 0.5, :].reshape(*m.shape[:-2], 4)


def rotation_vectors(q):
    size = q[..., 1:].norm(dim=-1, keepdim=True)
    half = torch.atan2(size, q[..., :1])
    angle = 2 * half
    small = angle.abs() < 1e-6
    ratio = torch.empty_like(angle)
    ratio[~small] = half[~small].sin() / angle[~small]
    ratio[small] = 0.5 - angle[small] ** 2 / 48
    return q[..., 1:] / ratio


def published_decode(features):
    n = len(features)
    height, path = features[:, 0], features[:, 1:3]
    c, s = F.normalize(features[:, 3:5], dim=-1).unbind(-1)
    turn = axis_rotation("z", torch.atan2(s, c))
    joints = torch.einsum("tjk,tik->tij", turn, features[:, 137:206].reshape(n, 23, 3))
    joints = torch.cat([torch.zeros_like(joints[:, :1]), joints], 1)
    joints[..., 2] += height[:, None]
    joints[..., :2] += path[:, None]
    matrices = six_matrices(features[:, 5:137].reshape(n, 22, 6))
    _, y, x = zyx_angles(matrices[:, 0]).unbind(-1)
    root = turn @ axis_rotation("y", y) @ axis_rotation("x", x)
    matrices = torch.cat([root[:, None], matrices[:, 1:]], 1)
    poses = rotation_vectors(matrix_quaternions(matrices)).flatten(1)
    return poses, torch.cat([path, height[:, None]], -1), joints


def walk(frames: int, dtype) -> list[torch.Tensor]:
    "A body that walks a curve: poses, pelvis and joints, z up."
    s = torch.arange(frames, dtype=torch.float64) / 20
    poses = 0.4 * torch.sin(s[:, None] * torch.linspace(1, 9, 66) + torch.arange(66))
    upright = axis_rotation("x", torch.tensor(np.pi / 2, dtype=torch.float64))
    lean = rotvec_to_matrix(0.2 * poses[:, :3].double())
    poses[:, :3] = matrix_to_rotvec(axis_rotation("z", s / 3) @ upright @ lean)
    trans = torch.stack([3 * (s / 3).sin(), -3 * (s / 3).cos(), 0.9 + 0.02 * (9 * s).sin()], -1)
    joints = body_joints(poses, model=approximate_body("smpl"), kind="smpl")
    joints = joints - joints[:, :1] + trans[:, None]
    return [x.to(dtype).contiguous() for x in (poses, trans, joints)]


def paired(ways, repeats: int) -> np.ndarray:
    "Seconds [repeats, ways] of single calls, one after the other in an order that changes."
    took, order = np.empty((repeats, len(ways))), np.random.default_rng(0)
    for row in took:
        for k in order.permutation(len(ways)):
            ways[k]()  # what the way before has left in the caches and the allocator
            t0 = time.perf_counter()
            ways[k]()
            row[k] = time.perf_counter() - t0
    return took


def ratios(took: np.ndarray, k: int) -> str:
    "How many times as long the last way takes as way k: by pairs, and by the best calls."
    pairs = np.median(took[:, -1] / took[:, k])
    return f"{pairs:.1f} (best calls {took[:, -1].min() / took[:, k].min():.1f})"


def matrices(poses):
    return rotvec_to_matrix(poses.double().unflatten(-1, (22, 3)))


def apart(a, b) -> float:
    return float((a - b).abs().max())


def encode_errors(poses, trans, joints, away: float = 0.0) -> tuple[float, float]:
    "Largest errors of both ways against the published one in double precision on the same numbers."
    x = poses, trans + away, joints + away
    exact = published_encode(*(v.double() for v in x))
    return apart(smpl_to_rifke(*x), exact), apart(published_encode(*x), exact)


def decode_errors(features) -> tuple[float, float]:
    "The same for joints, trans and rotation matrices."
    exact = published_decode(features.double())
    errors = []
    for poses, *places in (rifke_to_smpl(features)[:3], published_decode(features)):
        off = [apart(a, b) for a, b in zip(places, exact[1:])]
        errors.append(max(apart(matrices(poses), matrices(exact[0])), *off))
    return tuple(errors)


def compare(frames: int, dtype, repeats: int):
    x = walk(frames, dtype)
    name, features = f"{frames} frames {str(dtype)[6:]}", smpl_to_rifke(*x)
    took = paired(
        [
            lambda: smpl_to_rifke(*x),
            lambda: smpl_to_rifke(*x, check=False),
            lambda: published_encode(*x),
        ],
        repeats,
    )
    fast, unasked, slow = frames / took.min(0) / 1e3
    print(
        f"encode {name}: {fast:.0f} k frames/s, with check=False {unasked:.0f} k, published way {slow:.0f} k; "
        f"ratio {ratios(took, 0)}, with check=False {ratios(took, 1)}"
    )
    took = paired([lambda: rifke_to_smpl(features), lambda: published_decode(features)], repeats)
    fast, slow = frames / took.min(0) / 1e3
    trip = apart(matrices(rifke_to_smpl(features).poses)[:, 1:], matrices(x[0])[:, 1:])
    print(
        f"decode {name}: {fast:.0f} k frames/s, published way {slow:.0f} k; ratio {ratios(took, 0)}"
    )
    errors = encode_errors(*x), encode_errors(*x, away=7.0), decode_errors(features)
    ours, theirs = zip(*errors)
    show = lambda e: f"{e[0]:.1e}, 7 m away {e[1]:.1e}, decoded {e[2]:.1e}"
    print(
        f"errors {name}: {show(ours)}; of the published way {show(theirs)}; round trip {trip:.1e}"
    )


def golden(data: Path):
    "StableMotion's own vectors and decoded joints."
    z = np.load(data / "golden" / "rifke232_reference.npz")
    vectors, joints, single = [], [], []
    for clip in sorted({k.split("/")[0] for k in z}):
        get = lambda k, clip=clip: torch.from_numpy(z[f"{clip}/{k}"])
        x = get("poses"), get("trans"), get("joints")
        vectors.append(apart(smpl_to_rifke(*x), get("features")))
        single.append(encode_errors(*(v.float() for v in x)))
        joints.append(apart(rifke_to_smpl(get("features")).joints, get("decoded_joints")))
    ours, theirs = map(max, zip(*single))
    print(
        f"golden: {len(vectors)} clips, vectors within {max(vectors):.1e}, joints within {max(joints):.1e} m; "
        f"in single precision {ours:.1e}, the published way {theirs:.1e}"
    )


def recordings(data: Path):
    "Round trips of recordings of several kinds, in single precision at 20 frames a second."
    from motionbook.formats.registry import read

    r = RIFKE()
    paths = [
        *sorted((data / "bvh" / "samples").rglob("*.bvh")),
        *sorted((data / "trc").glob("*.trc")),
    ]
    for path in paths:
        motion = read(path).actors[0]
        motion = motion.replace(
            positions=motion.positions[1:], confidence=None
        )  # a T-pose in CMU's
        a = r.arrays(motion)
        features = r.encode(motion)
        back = rifke_to_smpl(features)
        again = smpl_to_rifke(*back[:3])
        turns = (matrices(back.poses)[:, 1:] - matrices(a.poses)[:, 1:]).abs().max()
        print(
            f"{path.name}: {len(features)} frames, {a.meta.get('rotations', 'its own rotations')} "
            f"(residual {1000 * a.meta.get('residual', 0):.1f} mm), rotations come back within {turns:.1e}, "
            f"encoded again within {(again - features).abs().max():.1e}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for frames in args.frames:
        compare(frames, getattr(torch, args.dtype), args.repeats)
    if args.data.is_dir():
        golden(args.data)
        recordings(args.data)


if __name__ == "__main__":
    main()
