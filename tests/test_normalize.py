"Statistics of a stream: any order and split, masks, constants, files, and refusals."

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbook.converters.base import Item
from motionbook.core.files import BadFile
from motionbook.core.motion import Scene, resample
from motionbook.data.cache import precompute
from motionbook.data.clips import FeatureClips
from motionbook.features.representation import (
    REPRESENTATIONS,
    Layout,
    representation,
    representation_class,
)
from motionbook.features.rifke.rifke import RIFKE
from motionbook.features.shared.moments import moments, stream_moments
from motionbook.features.shared.normalize import FLOOR, Normalizer, public_statistics
from motionbook.formats.registry import write
from motionbook.synthetic.people import person

torch.set_num_threads(1)
LAYOUT = Layout(root=5, poses=132, joints=69, feet=12, velocity=14, label=1)
SMALL = Layout(x=3, feet_contact=2, label=1)


def features(seed, t, d=6, scale=1.0, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(t, d, generator=g) + shift


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.floats(-1e4, 1e4),
    st.floats(1e-2, 1e2),
)
def test_any_order_and_split_gives_the_same(cuts, chance, shift, scale):
    x = features(len(cuts), 300, scale=scale, shift=shift)
    edges = [0, *sorted(cuts), 300]
    parts = [x[a:b] for a, b in zip(edges, edges[1:])]
    chance.shuffle(parts)
    got, whole = stream_moments(parts, Layout(x=6)), x.double()
    assert torch.equal(got.count, torch.full((6,), 300.0).double())
    assert (got.mean - whole.mean(0)).abs().max() <= 1e-9 * max(abs(shift), scale)
    std = whole.std(0, correction=0)
    assert ((got.variance.sqrt() - std) / std).abs().max() <= 1e-8


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.floats(0, 1), st.booleans())
def test_a_mask_is_the_same_as_leaving_out(seed, share, each):
    x = features(seed, 50)
    keep = torch.rand(50, 6 if each else 1, generator=torch.Generator().manual_seed(seed)) < share
    got = moments(x.masked_fill(~keep, torch.nan), keep if each else keep[:, 0])
    for k in range(6):
        own = x[keep.expand(50, 6)[:, k], k].double()
        assert got.count[k] == len(own)
        if len(own):
            assert torch.isclose(got.mean[k], own.mean(), atol=1e-12)
            assert torch.isclose(got.m2[k], (own - own.mean()).square().sum(), atol=1e-10)


def test_files_larger_than_a_part_are_mapped_in_parts(tmp_path, monkeypatch):
    import motionbook.features.shared.moments as m

    monkeypatch.setattr(m, "ROWS", 100)
    x = features(0, 1050, shift=3.0).double()
    np.save(tmp_path / "a.npy", x[:950].numpy())
    np.save(tmp_path / "b.npy", x[950:].float().numpy())
    got = stream_moments([tmp_path / "b.npy", str(tmp_path / "a.npy")], Layout(x=6))
    assert got.count[0] == 1050
    torch.testing.assert_close(got.mean, x.mean(0), atol=1e-7, rtol=0)
    with pytest.raises(ValueError, match=r"frame 200 \+ 17: .*nan in x\[4\]"):
        x[217, 4] = torch.nan
        stream_moments([x], Layout(x=6))


def test_feature_8_of_the_233_is_constant_and_harmless(real_data):
    "The root rotation without its heading has a zero that StableMotion divides by 1e-12."
    stored = np.load(real_data / "golden" / "rifke232_reference.npz")
    clips = [torch.from_numpy(stored[k]) for k in stored.files if k.endswith("/features")]
    assert len(clips) == 4
    clips = [torch.cat([c, torch.zeros(len(c), 1, dtype=c.dtype)], 1) for c in clips]
    every = torch.cat(clips)
    assert every[:, 8].abs().max() < 1e-12
    n = Normalizer.fit(clips, LAYOUT, fps=20.0)
    assert n.std[8] == FLOOR and "poses[3]" in n.constant()
    noisy = every.clone()
    noisy[:, 8] += 1e-7
    assert (n(noisy)[:, 8] - n(every)[:, 8]).abs().max() < 1e-3
    assert n(every)[:, 232].unique().tolist() == [-1.0]
    torch.testing.assert_close(n.undo(n(every)), every, atol=1e-12, rtol=0)
    torch.testing.assert_close(n.undo(n(every.float())), every.float(), atol=1e-5, rtol=0)


def test_public_humanml3d_statistics_group_by_part(real_data):
    layout = Layout(
        root_yaw_vel=1, root_xz_vel=2, root_y=1, ric=63, rot_6d=126, local_vel=66, feet_contact=4
    )
    n = public_statistics(real_data / "humanml3d", layout, fps=20.0, plain=())
    raw = np.load(real_data / "humanml3d" / "Std.npy")
    np.testing.assert_array_equal(n.std.float().numpy(), raw)
    for s in layout.values():
        assert n.std[s].max() - n.std[s].min() < 1e-6
    x = torch.from_numpy(np.load(real_data / "humanml3d" / "new_joint_vecs_012314.npy"))
    fitted = Normalizer.fit([x], layout, group="part", plain=())
    spread = x.double().std(0, correction=0)
    for s in layout.values():
        assert torch.allclose(fitted.std[s], spread[s].mean().clamp_min(FLOOR))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([torch.float32, torch.float64]))
def test_undo_is_the_inverse(seed, dtype):
    x = features(seed, 40, scale=10.0, shift=seed / 7)
    n = Normalizer.fit([x], SMALL, plain=("feet_contact",))
    y = features(seed + 1, 40, scale=30.0).to(dtype)
    assert n(y).dtype == dtype
    tol = 1e-4 if dtype == torch.float32 else 1e-11
    assert (n.undo(n(y)) - y).abs().max() < tol
    assert torch.equal(n(y)[:, 3:5], y[:, 3:5])


def test_saved_and_read_back_with_its_layout(tmp_path):
    n = Normalizer.fit([features(0, 30)], SMALL, fps=20.0)
    path = n.save(tmp_path / "s.npz")
    again = Normalizer.load(path, SMALL, fps=20.0)
    assert torch.equal(again.std, n.std) and again.frames == 30 and again.fps == 20.0
    with np.load(path, allow_pickle=False) as f:
        assert set(f.files) == {"mean", "std", "about"}
    with pytest.raises(ValueError, match="20 frames per second, got 30; resample"):
        Normalizer.load(path, SMALL, fps=30.0)
    with pytest.raises(ValueError, match="statistics are for Layout"):
        Normalizer.load(path, Layout(feet_contact=2, x=3, label=1))
    with pytest.raises(ValueError, match=r"expected features \[..., 6\]"):
        n(torch.zeros(3, 5))


@pytest.mark.parametrize("cut", [0, 10, 100, 400])
def test_a_damaged_file_is_one_clear_error(tmp_path, cut):
    path = Normalizer.fit([features(0, 30)], SMALL).save(tmp_path / "s.npz")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadFile, match="s.npz"):
        Normalizer.load(path)


def test_no_file_is_left_half_written(tmp_path, monkeypatch):
    n = Normalizer.fit([features(0, 30)], SMALL)
    path = n.save(tmp_path / "s.npz")
    before = path.read_bytes()
    monkeypatch.setattr(
        "os.replace", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(BadFile, match="room on the disk"):
        Normalizer.fit([features(1, 30)], SMALL).save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_about_that_is_not_ours(tmp_path):
    np.savez(tmp_path / "x.npz", mean=np.zeros(6), std=np.ones(6), about=np.array("{"))
    with pytest.raises(BadFile, match="x.npz"):
        Normalizer.load(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", mean=np.zeros(6), std=np.ones(6), about=np.array('{"layout": 3}'))
    with pytest.raises(BadFile, match="y.npz"):
        Normalizer.load(tmp_path / "y.npz")
    np.savez(tmp_path / "z.npz", mean=np.zeros(5), std=np.ones(6))
    with pytest.raises(BadFile, match="z.npz"):
        public_statistics(tmp_path / "z.npz", Layout(a=3, b=3))


def test_another_frame_rate_is_one_clear_error(tmp_path):
    "Wherever statistics meet features whose rate is known."
    walk = person("walk", 3.0, fps=60)
    r = RIFKE()
    n = Normalizer.fit([r.encode(walk)], r)
    assert n.fps == 20.0 and n.representation == "rifke"
    path = n.save(tmp_path / "stats.npz")
    x = n.encode(walk, r)
    assert torch.equal(x, n(r.encode(walk))) and torch.equal(x, n(r.encode(walk), fps=20))
    assert torch.equal(n.undo(x, fps=20.001), n.undo(x))
    for refused in (
        lambda: n.encode(walk, RIFKE(fps=None)),  # at the recording's own rate
        lambda: n.encode(walk, RIFKE(fps=60.0)),
        lambda: n(r.encode(walk), fps=60.0),
        lambda: n.undo(x, fps=60.0),
        lambda: n.check(RIFKE(fps=60.0)),
        lambda: Normalizer.load(path, RIFKE(fps=60.0)),
        lambda: Normalizer.load(path, RIFKE(fps=None), fps=60.0),
    ):
        with pytest.raises(ValueError, match="are for 20 frames per second, got 60; resample") as e:
            refused()
        assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match="got nan"):
        n(x, fps=float("nan"))
    with pytest.raises(ValueError, match="'rifke' features, got 'keypoints'|are for Layout"):
        n.encode(walk, representation("keypoints", Scene((walk,))))
    assert n.encode(resample(walk, 20), RIFKE(fps=None)).shape == x.shape


def test_statistics_carry_the_name_of_the_registry():
    for key in REPRESENTATIONS:
        assert representation_class(key).name == key
    markers = representation("markers")
    m = Normalizer.fit([torch.randn(20, markers.layout.width)], markers)
    assert m.representation == "markers"


def test_clips_of_another_frame_rate_are_refused(tmp_path):
    "From the cache by its index, and on the fly by the recording; good clips come normalised."
    r, items = RIFKE(fps=None), []
    for fps in (20, 60):
        path = write(Scene((person("walk", 2.0, fps=fps),)), tmp_path / f"{fps}.npz")
        items.append(Item(f"walk{fps}", str(path)))
    plain = FeatureClips(None, items, r)
    n = Normalizer.fit([plain[0]], r, fps=20.0)
    precompute(items, r, tmp_path / "cache")
    for clips in (
        FeatureClips(None, items, r, normalizer=n),
        FeatureClips(tmp_path / "cache", normalizer=n),
    ):
        assert torch.equal(clips[0], n(plain[0]))
        with pytest.raises(ValueError, match="are for 20 frames per second, got 60; resample"):
            clips[1]
    with pytest.raises(ValueError, match="are for 20 frames per second, got 30; resample"):
        FeatureClips(None, items, RIFKE(fps=30.0), normalizer=n)
    with pytest.raises(ValueError, match="statistics are for Layout"):
        FeatureClips(None, items, RIFKE(labels=True), normalizer=n)
