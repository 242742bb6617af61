"""The player in a real browser: it shows, it moves, it obeys, and nothing that a file says can run."""

import math

import numpy as np
import pytest
import torch
from browser import browser

from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import SMPL22
from motionbook.viz.player import Player

NASTY = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"


def walker(seconds=4.0, fps=30.0, shift=0.0):
    "A figure whose joints swing on a body that stands still: simple enough to predict."
    t = torch.arange(round(seconds * fps)) / fps
    heights = torch.linspace(0.05, 1.6, 22)
    side = torch.tensor(
        [0.2 * (("left" in j) - ("right" in j)) for j in SMPL22.joints], dtype=torch.float32
    )
    x = torch.stack([side + shift, heights, torch.zeros(22)], -1).repeat(len(t), 1, 1)
    x[..., 2] = 0.3 * torch.sin(2 * math.pi * t[:, None] + heights)
    return Motion(x, SMPL22, fps, name="walker")


def crawler(n=90):
    "A 2-D animal: the tail stands still, the nose moves right by 2 pixels a frame and down by 1."
    s = Skeleton("crawler", ("nose", "left_ear", "tail"), (2, 0, -1))
    x = torch.tensor([[300.0, 100], [310, 90], [200, 300]]).repeat(n, 1, 1)
    x[:, :2, 0] += 2 * torch.arange(n)[:, None]
    x[:, :2, 1] += torch.arange(n)[:, None]
    return Motion(x, s, 30, name="crawler")


@pytest.fixture(scope="module")
def page():
    with browser(800, 520) as p:
        yield p


@pytest.fixture
def opened(page, tmp_path):
    "Open a player; afterwards the console must be silent."

    def open_(recordings, **options):
        page.open(Player(recordings, **options).save(tmp_path / "player.html"))
        page.wait("window.motionbook && motionbook.drawn > 1")
        return page

    page.resize(800, 520)
    page.errors()
    yield open_
    assert page.errors() == []


def pause_at(page, frame):
    page.eval("motionbook.pause()")
    page.eval("motionbook.seek(arguments[0])", frame)
    page.wait("motionbook.settled")


def joints(page, label="walker"):
    "Pixels [x, y] of each joint as drawn, or None."
    return page.eval("motionbook.joints[arguments[0]]", label)


def pixels(page):
    "The picture without the legend and the controls, as signed numbers."
    page.wait("motionbook.settled || motionbook.playing")
    return page.screenshot()[50:400].astype(int)


def blue(picture):
    return int((picture[..., 2] - picture[..., 0] > 90).sum())


def test_the_skeleton_is_drawn_and_moves_while_playing(opened):
    page = opened(walker(), autoplay=False, view="left")
    before, where = pixels(page), joints(page)
    assert before.std() > 5, "a blank page"
    assert blue(before) > 200, "the left side is not there"
    page.driver.find_element("css selector", "button.play").click()
    page.wait("motionbook.frame > 8")
    after, now = pixels(page), joints(page)
    assert (before != after).any(-1).sum() > 200
    assert np.abs(np.array(where) - np.array(now)).max() > 5
    assert page.eval("motionbook.playing")


def test_it_plays_by_itself_and_loops(opened):
    page = opened(walker(seconds=0.5))
    page.wait("motionbook.frame > 10")
    page.wait("motionbook.frame < 5")
    page.eval("motionbook.loop(false)")
    page.wait("!motionbook.playing")
    assert page.eval("motionbook.frame") == 14


def test_scrubbing_sets_the_frame(opened):
    page = opened(walker(), autoplay=False)
    assert page.eval("[motionbook.frames, motionbook.fps]") == [120, 30]
    slide = "r.value = 75; r.dispatchEvent(new Event('input'))"
    page.driver.execute_script(f"const r = document.querySelector('input[type=range]'); {slide}")
    page.wait("motionbook.settled")
    assert page.eval("motionbook.frame") == 75
    assert "2.50 s" in page.eval("document.querySelector('.time').textContent")
    assert "frame 75" in page.eval("document.querySelector('input').getAttribute('aria-valuetext')")
    want = walker().positions[75].numpy()
    assert np.abs(np.array(page.eval("motionbook.positions.walker")) - want).max() < 0.0005


def test_keys(opened):
    from selenium.webdriver.common.keys import Keys

    page = opened(walker(), autoplay=False)
    body = page.driver.find_element("tag name", "body")
    for keys, frame in (
        (Keys.ARROW_RIGHT * 3, 3),
        (Keys.ARROW_LEFT, 2),
        (Keys.END, 119),
        (Keys.HOME, 0),
    ):
        body.send_keys(keys)
        assert page.eval("motionbook.frame") == frame
    body.send_keys(Keys.SHIFT + Keys.ARROW_RIGHT)
    body.send_keys(Keys.NULL)
    assert page.eval("motionbook.frame") == 10
    body.send_keys("]")
    assert page.eval("motionbook.speed") == 2
    body.send_keys(" ")
    assert page.eval("motionbook.playing")
    slider = page.driver.find_element("css selector", "input[type=range]")
    slider.send_keys(
        Keys.HOME + Keys.ARROW_RIGHT
    )  # once, not once by the slider and once by the page
    assert page.eval("motionbook.frame") == 1


def test_orbit_zoom_and_reset_with_the_mouse(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(walker(), autoplay=False)
    canvas = page.driver.find_element("css selector", ".stage canvas")
    start, view = np.array(joints(page)), page.eval("motionbook.view")
    ActionChains(page.driver).click_and_hold(canvas).move_by_offset(120, 40).release().perform()
    page.wait(f"motionbook.view.yaw != {view['yaw']} && motionbook.settled")
    turned, now = np.array(joints(page)), page.eval("motionbook.view")
    assert abs(turned - start).max() > 10
    assert now["yaw"] < view["yaw"] and now["pitch"] > view["pitch"]

    ActionChains(page.driver).scroll_from_origin(_at(canvas), 0, -400).perform()
    page.wait(f"motionbook.view.zoom > {1.2 * view['zoom']} && motionbook.settled")
    assert np.ptp(np.array(joints(page))[:, 1]) > 1.2 * np.ptp(turned[:, 1])

    ActionChains(page.driver).double_click(canvas).perform()
    page.wait(f"Math.abs(motionbook.view.zoom - {view['zoom']}) < 1e-6 && motionbook.settled")
    assert abs(np.array(joints(page)) - start).max() < 0.5


def _at(element):
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    return ScrollOrigin.from_element(element)


def test_the_default_view_shows_the_left_side_on_the_right(opened):
    page = opened(walker(), autoplay=False, view="front")
    p = dict(zip(SMPL22.joints, joints(page)))
    assert p["left_wrist"][0] > p["right_wrist"][0]
    assert p["head"][1] < p["pelvis"][1]


def test_speed(opened):
    page = opened(walker(seconds=20), autoplay=False)
    page.eval("motionbook.setSpeed(0.25)")
    assert page.eval("document.querySelector('select').value") == "0.25"

    def frames_in(seconds):
        return page.driver.execute_async_script(
            "const done = arguments[1], a = motionbook.frame, t = performance.now(); motionbook.play();"
            "setTimeout(() => done((motionbook.frame - a) / (performance.now() - t) * 1000), arguments[0] * 1000)",
            seconds,
        )

    slow = frames_in(1.0)
    page.eval("motionbook.pause()")
    page.eval("motionbook.setSpeed(2)")
    fast = frames_in(1.0)
    assert 4 < slow < 10 and 45 < fast < 65, (slow, fast)  # 7.5 and 60 frames a second


def test_two_dimensions_point_down_and_do_not_turn(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(crawler(), autoplay=False)
    a = np.array(joints(page, "crawler"))
    pause_at(page, 40)
    b = np.array(joints(page, "crawler"))
    k = page.eval("motionbook.view.zoom")
    np.testing.assert_allclose(
        (b - a)[0], [80 * k, 40 * k], rtol=1e-3
    )  # right and down, aspect kept
    np.testing.assert_allclose((b - a)[2], 0, atol=1e-3)
    canvas = page.driver.find_element("css selector", ".stage canvas")
    ActionChains(page.driver).click_and_hold(canvas).move_by_offset(50, 20).release().perform()
    page.wait("motionbook.settled")
    moved = np.array(joints(page, "crawler")) - b
    np.testing.assert_allclose(moved, np.broadcast_to([50, 20], moved.shape), atol=0.01)


def test_missing_points_and_their_edges_are_not_drawn(opened):
    s = Skeleton("pair", ("left_a", "left_b"), (-1, 0))
    x = torch.tensor([[[0.0, 0, 0], [0.0, 1, 0]]]).repeat(4, 1, 1)
    x[2:, 1] = float("nan")
    page = opened(Motion(x, s, 30, name="pair"), autoplay=False, view="front")
    both = blue(pixels(page))
    pause_at(page, 3)
    assert joints(page, "pair")[1] is None and joints(page, "pair")[0] is not None
    assert page.eval("motionbook.positions.pair")[1] is None
    assert blue(pixels(page)) < 0.2 * both


def test_flags_are_ringed(opened):
    flags = torch.zeros(120, 22, dtype=torch.bool)
    flags[10, 15] = True
    page = opened(walker(), flags=flags, autoplay=False)

    def gold():
        p = pixels(page)
        return int(((p[..., 0] > 200) & (abs(p[..., 1] - 154) < 14) & (p[..., 2] < 40)).sum())

    assert gold() == 0
    pause_at(page, 10)
    assert gold() > 20
    assert "flagged" in page.eval("document.querySelector('.legend').textContent")


def test_overlays_and_the_legend(opened):
    two = {"reference": walker(), "corrupted": walker(shift=0.3), "repaired": walker(shift=0.6)}
    page = opened(two, colors={"reference": "white"}, autoplay=False)
    shown = page.eval("motionbook.layers.map(l => [l.label, l.visible, l.color])")
    assert [s[0] for s in shown] == list(two)
    assert shown[0][2] == "#ffffff"
    before = pixels(page)
    chip = page.driver.find_elements("css selector", "button.chip")[1]
    chip.click()
    page.wait("!motionbook.layers[1].visible && motionbook.settled")
    assert chip.get_attribute("aria-pressed") == "false"
    assert "corrupted" not in page.eval("motionbook.joints")
    after = pixels(page)

    def red(p):
        return int((p[..., 0] - p[..., 1] > 90).sum())

    assert red(before) > 200 > 5 * red(after)
    chip.click()
    page.wait("'corrupted' in motionbook.joints")


def test_recordings_of_different_rates_keep_time(opened):
    page = opened({"slow": walker(fps=10.0), "fast": walker(fps=60.0)}, autoplay=False)
    assert page.eval("[motionbook.frames, motionbook.fps]") == [240, 60]
    pause_at(page, 90)
    at = page.eval("motionbook.positions")
    np.testing.assert_allclose(at["slow"], walker(fps=10.0).positions[15], atol=0.0005)
    np.testing.assert_allclose(at["fast"], walker(fps=60.0).positions[90], atol=0.0005)


def test_a_far_runner_is_followed(opened):
    run = walker()
    run = run.replace(
        positions=run.positions + torch.arange(120)[:, None, None] * torch.tensor([0, 0, 0.2])
    )
    page = opened(run, autoplay=False)
    for frame in (0, 60, 119):
        pause_at(page, frame)
        x, y = np.array(joints(page)).mean(0)
        assert 200 < x < 600 and 80 < y < 400
    page.eval("motionbook.follow(false)")
    pause_at(page, 0)
    assert (
        np.ptp(np.array(joints(page))[:, 1]) < 150
    )  # all of the way is shown, and the figure is small


def test_what_a_file_says_cannot_run(opened):
    m = walker()
    s = Skeleton(NASTY, (NASTY, *SMPL22.joints[1:]), SMPL22.parents)
    scene = Scene((Motion(m.positions, s, 30, name=NASTY),), source=NASTY)
    page = opened({NASTY: scene, "b": m}, title=NASTY, autoplay=False)
    assert page.eval("window.hacked") is None
    assert page.eval("document.title") == NASTY
    assert page.eval("document.querySelectorAll('script').length") == 2
    assert page.eval("document.querySelectorAll('img').length") == 0
    assert page.eval("document.querySelector('.chip').textContent") == NASTY
    assert page.eval("motionbook.layers[0].joints[0]") == NASTY
    x, y = page.eval("motionbook.joints[arguments[0]][0]", NASTY)
    move = "document.querySelector('.stage canvas').dispatchEvent(new PointerEvent('pointermove', {clientX: arguments[0], clientY: arguments[1]}))"
    page.driver.execute_script(move, x, y)
    assert NASTY in page.eval("document.querySelector('.tip').textContent")
    assert page.eval("window.hacked") is None


def test_the_policy_stops_a_script_that_got_in(page, tmp_path):
    text = Player(walker()).html.replace("<noscript>", "<script>window.hacked=3</script><noscript>")
    (tmp_path / "bad.html").write_text(text, encoding="utf-8")
    page.open(tmp_path / "bad.html")
    page.wait("window.motionbook && motionbook.drawn > 1")
    assert page.eval("window.hacked") is None
    assert any("Content Security Policy" in e for e in page.errors())


@pytest.mark.parametrize(("back", "theme"), [("#ffffff", "light"), ("#111111", "dark")])
def test_in_a_notebook_page(page, tmp_path, back, theme):
    page.errors()
    frame = Player(walker(), height=300)._repr_html_()
    body = f"<body style='background:{back}'><h1>Notebook</h1><div style='height:2000px'>{frame}</div></body>"
    (tmp_path / "notebook.html").write_text(
        f"<!doctype html><meta charset=utf-8>{body}", encoding="utf-8"
    )
    page.open(tmp_path / "notebook.html")
    page.driver.switch_to.frame(0)
    try:
        page.wait("window.motionbook && motionbook.frame > 5")
        a = joints(page)
        frame = page.eval("motionbook.frame")
        page.wait(f"motionbook.frame > {frame + 3}")
        assert np.abs(np.array(joints(page)) - np.array(a)).max() > 1
        assert page.eval("motionbook.theme") == theme
        page.driver.execute_script("window.parent.scrollTo(0, 1500)")
        page.wait("motionbook.playing")
    finally:
        page.driver.switch_to.default_content()
    assert page.errors() == []


def test_in_a_sandbox_without_an_origin(page, tmp_path):
    "As in a report: the player cannot see the page around it, and does not complain."
    page.errors()
    frame = Player(walker())._repr_html_().replace("<iframe", '<iframe sandbox="allow-scripts"', 1)
    (tmp_path / "report.html").write_text(
        f"<!doctype html><meta charset=utf-8>{frame}", encoding="utf-8"
    )
    page.open(tmp_path / "report.html")
    page.driver.switch_to.frame(0)
    try:
        page.wait("window.motionbook && motionbook.frame > 3")
    finally:
        page.driver.switch_to.default_content()
    assert page.errors() == []


def test_dark_follows_the_system(opened):
    page = opened(walker(), autoplay=False)
    assert page.eval("motionbook.theme") == "light"
    page.emulate(prefers_color_scheme="dark")
    try:
        page.wait("motionbook.theme == 'dark' && motionbook.settled")
        assert page.screenshot()[200, 20].mean() < 60
    finally:
        page.emulate(prefers_color_scheme="light")
    page.wait("motionbook.theme == 'light'")


def test_less_motion_is_respected(page, tmp_path):
    page.emulate(prefers_reduced_motion="reduce")
    try:
        page.open(Player(walker()).save(tmp_path / "p.html"))
        page.wait("window.motionbook && motionbook.drawn > 1")
        assert not page.eval("motionbook.playing")
    finally:
        page.emulate()


def test_narrow_and_sharp(opened):
    page = opened(walker(), autoplay=False, title="A long title that has to fit somewhere")
    page.resize(400, 500, scale=2)
    page.wait("motionbook.size[0] == 400 && motionbook.size[2] == 800")
    assert page.eval("document.documentElement.scrollWidth") <= 400
    wide = page.eval(
        "[...document.querySelectorAll('.bar > *')].map(e => e.getBoundingClientRect().right)"
    )
    assert max(wide) <= 400
    p = np.array(joints(page))
    assert (p > 0).all() and (p[:, 0] < 400).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_a_recording_without_points_says_so(opened, dims):
    ghost = Motion(torch.full((30, 3, dims), math.nan), crawler().skeleton, 30, name="ghost")
    page = opened(ghost)
    text = page.eval("document.body.innerText")
    assert "nothing to show: every point of ghost is missing" in text


def test_a_long_recording_is_thinned_and_says_so(opened):
    rng = torch.Generator().manual_seed(0)
    m = walker(seconds=200, fps=100.0)
    x = torch.cat([m.positions, torch.rand(20_000, 8, 3, generator=rng)], 1)
    s = Skeleton("thirty", (*SMPL22.joints, *"abcdefgh"), (*SMPL22.parents, *[0] * 8))
    player = Player({"before": Motion(x, s, 100), "after": Motion(x, s, 100)}, autoplay=False)
    assert len(player.html) < 5_000_000
    page = opened({"before": Motion(x, s, 100), "after": Motion(x, s, 100)}, autoplay=False)
    step = round(20_000 / page.eval("motionbook.frames"))
    assert step > 1 and page.eval("motionbook.fps") == pytest.approx(100 / step)
    assert page.eval("motionbook.duration") == pytest.approx(200, rel=0.01)
    said = page.eval("document.querySelector('.foot').textContent")
    assert "of 20,000 frames" in said
    pause_at(page, 1000)
    assert f"frame {1000 * step} " in page.eval("document.querySelector('.time').textContent")


@pytest.mark.parametrize("frames", [1, 2])
def test_short_and_empty_recordings(opened, frames):
    page = opened({"short": walker(seconds=frames / 30), "long": walker(seconds=1)})
    page.wait("motionbook.frame > 5")
    opened(walker(seconds=1 / 30))
    m = walker()
    opened(m.replace(positions=torch.full_like(m.positions, float("nan"))))


def test_two_actors_toggle_apart(opened):
    page = opened(Scene((walker(), walker(shift=1.0).replace(name="other"))), autoplay=False)
    page.eval("motionbook.show('other', false)")
    assert list(page.eval("motionbook.joints")) == ["walker"]
