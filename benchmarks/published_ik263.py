"""HumanML3D's recipe the obvious way: one clip, joint after joint, with tables of quaternions.

This is the twin that `features.humanml3d.ik263` is measured and tested against. It is written from the description of the
recipe and takes the steps that the published script takes, in its order and with its means: NumPy arrays in
float32, quaternions (w, x, y, z) whose products and turns go through torch and back, SciPy's Gaussian filter. With
`dtype=np.float64` it is the reference for rounding.
"""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

CHAINS = (
    (0, 2, 5, 8, 11),
    (0, 1, 4, 7, 10),
    (0, 3, 6, 9, 12, 15),
    (9, 14, 17, 19, 21),
    (9, 13, 16, 18, 20),
)
REST = np.zeros((22, 3))
for axis, sign, joints in (
    (0, 1, (1, 13)),
    (0, -1, (2, 14)),
    (1, 1, (3, 6, 9, 12)),
    (1, -1, (4, 5, 7, 8, 16, 17, 18, 19, 20, 21)),
    (2, 1, (10, 11, 15)),
):
    REST[list(joints), axis] = sign
FEET = (7, 10, 8, 11)
STILL = 0.002


def product(a, b):
    "a b, all sixteen terms from an outer product"
    a, b = np.broadcast_arrays(a, b)
    ta, tb = (torch.from_numpy(np.ascontiguousarray(v)) for v in (a, b))
    t = torch.bmm(ta.reshape(-1, 4, 1), tb.reshape(-1, 1, 4))
    w = t[:, 0, 0] - t[:, 1, 1] - t[:, 2, 2] - t[:, 3, 3]
    x = t[:, 0, 1] + t[:, 1, 0] + t[:, 2, 3] - t[:, 3, 2]
    y = t[:, 0, 2] - t[:, 1, 3] + t[:, 2, 0] + t[:, 3, 1]
    z = t[:, 0, 3] + t[:, 1, 2] - t[:, 2, 1] + t[:, 3, 0]
    return torch.stack([w, x, y, z], 1).view(ta.shape).numpy()


def turned(q, v):
    "v turned by q, with two cross products"
    tq, tv = (torch.from_numpy(np.ascontiguousarray(a)) for a in (q, v))
    shape, tq, tv = tv.shape, tq.reshape(-1, 4), tv.reshape(-1, 3)
    axis = tq[:, 1:]
    once = torch.cross(axis, tv, dim=1)
    twice = torch.cross(axis, once, dim=1)
    return (tv + 2 * (tq[:, :1] * once + twice)).view(shape).numpy()


def inverse(q):
    return q * np.array([1, -1, -1, -1], dtype=q.dtype)


def unit(v):
    return v / np.sqrt((v**2).sum(-1, keepdims=True))


def between(a, b):
    "the shortest rotation from a to b"
    w = np.sqrt((a**2).sum(-1, keepdims=True) * (b**2).sum(-1, keepdims=True)) + (a * b).sum(
        -1, keepdims=True
    )
    return unit(np.concatenate([w, np.cross(a, b)], -1))


def line(x, hips):
    "across the body; `hips` says which one is taken for the right one"
    r, n = hips
    return unit((x[..., r, :] - x[..., n, :]) + (x[..., 17, :] - x[..., 16, :]))


def ahead(across):
    up = np.zeros_like(across)
    up[..., 1] = 1
    return np.cross(up, across)


def rotations(x, hips, smooth):
    "inverse kinematics: [t 22 4], each relative to the one before it in its chain"
    f = ahead(line(x, hips))
    if smooth:
        f = gaussian_filter1d(f, 20, axis=0, mode="nearest")
    target = np.zeros_like(f)
    target[:, 2] = 1
    root = between(unit(f), target)
    root[0] = (1, 0, 0, 0)
    q = np.zeros((*x.shape[:2], 4), x.dtype)
    q[:, 0] = root
    for chain in CHAINS:
        so_far = root
        for up, j in zip(chain, chain[1:]):
            rest = np.broadcast_to(REST[j].astype(x.dtype), x[:, j].shape)
            world = between(rest, unit(x[:, j] - x[:, up]))
            q[:, j] = product(inverse(so_far), world)
            so_far = product(so_far, q[:, j])
    return q


def lengths(pose):
    "[22] bone lengths of a pose [22 3]"
    size = np.zeros(22, pose.dtype)
    for chain in CHAINS:
        for up, j in zip(chain, chain[1:]):
            size[j] = np.linalg.norm(pose[j] - pose[up])
    return size


def on_other_bones(x, skeleton, hips):
    "the clip played by a body with the bone lengths of `skeleton`: inverse, then forward kinematics"
    size, own = lengths(skeleton), lengths(x[0])
    root = x[:, 0] * ((size[5] + size[8]) / (own[5] + own[8]))
    q = rotations(x, hips, smooth=False)
    y = np.zeros_like(x)
    y[:, 0] = root
    for chain in CHAINS:
        so_far = q[:, 0]
        for up, j in zip(chain, chain[1:]):
            so_far = product(so_far, q[:, j])
            bone = np.broadcast_to((REST[j] * size[j]).astype(x.dtype), x[:, j].shape)
            y[:, j] = y[:, up] + turned(so_far, bone)
    return y


def two_columns(q):
    "the first two columns of the matrices of quaternions [... 4], one after the other"
    w, x, y, z = np.moveaxis(q, -1, 0)
    first = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    second = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    return np.stack(first + second, -1)


def published_ik263(joints, skeleton=None, facing="humanml3d", dtype=np.float32):
    "[t-1 263] of joints [t 22 3]"
    x = np.asarray(joints, dtype=dtype)
    hips = (1, 2) if facing == "humanml3d" else (2, 1)  # the published code exchanges them
    if skeleton is not None:
        x = on_other_bones(x, np.asarray(skeleton, dtype=dtype), hips)
    x = x - np.array([0, x[..., 1].min(), 0], dtype=dtype)
    x = x - x[0, 0] * np.array([1, 0, 1], dtype=dtype)
    first = unit(ahead(line(x[:1], (2, 1))))
    start = between(first, np.array([[0, 0, 1]], dtype=dtype))
    x = turned(np.broadcast_to(start[:, None], (*x.shape[:2], 4)), x)
    step = x[1:] - x[:-1]
    contacts = ((step[:, FEET] ** 2).sum(-1) < STILL).astype(dtype)
    q = rotations(x, hips, smooth=True)
    root = q[:, 0]
    yaw = np.arcsin(product(root[1:], inverse(root[:-1]))[:, 2:3])
    forward = turned(root[1:], step[:, 0])[:, ::2]
    every = np.broadcast_to(root[:, None], q.shape)
    seen = turned(every, x - x[:, :1] * np.array([1, 0, 1], dtype=dtype))
    velocities = turned(every[:-1], step)
    flat = lambda v: v.reshape(len(v), -1)
    parts = [
        yaw,
        forward,
        x[:-1, 0, 1:2],
        flat(seen[:-1, 1:]),
        flat(two_columns(q[:-1, 1:])),
        flat(velocities),
        contacts,
    ]
    return np.concatenate(parts, -1)
