"""The report in a real browser: it answers, it leads to what is suspicious, and what a person changes in it can be applied."""

import pytest
import torch
from browser import browser
from selenium.webdriver import ActionChains

from motionbook.cleanup.corrections import corrections_text
from motionbook.cleanup.pipeline import clean_file
from motionbook.core.motion import Scene
from motionbook.filters.corrupt.corruption import add_jumps, dropout
from motionbook.formats.registry import read, write
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person


@pytest.fixture(scope="module")
def tab():
    with browser(1100, 800) as page:
        yield page


@pytest.fixture(scope="module")
def mended(tmp_path_factory):
    "A mouse with jumps and gaps, its repair, its table and its report."
    folder = tmp_path_factory.mktemp("mouse")
    broken = add_jumps(mouse(seconds=12, seed=5), rate=0.01, generator=1).scene
    broken = dropout(broken, rate=0.02, generator=2).scene
    src, out, page = folder / "mouse.csv", folder / "out.csv", folder / "page.html"
    write(broken, src)
    return src, out, page, clean_file(src, out, report=page)


def open_report(tab, page, width=1100):
    "The report, ready to be edited; the console must be silent."
    tab.driver.switch_to.default_content()
    tab.resize(width, 800)
    tab.open(page)
    tab.wait("window.report.ready")
    in_player(tab)
    tab.wait("window.motionbook && motionbook.drawn > 1")
    tab.eval("motionbook.pause()")
    tab.driver.switch_to.default_content()
    assert tab.errors() == []
    return tab


def in_player(tab):
    tab.driver.switch_to.default_content()
    tab.driver.switch_to.frame(tab.driver.find_element("tag name", "iframe"))


def from_page(tab, expression, *args):
    tab.driver.switch_to.default_content()
    return tab.eval(expression, *args)


def drag(tab, frame, joint, dx, dy):
    "Drag a point of the repaired recording, as a person does."
    from_page(tab, "document.querySelector('iframe').scrollIntoView({block: 'center'})")
    in_player(tab)
    tab.eval("motionbook.edit(true)")
    tab.eval("motionbook.seek(arguments[0])", frame)
    tab.wait("motionbook.settled")
    x, y = tab.eval("motionbook.joints.after[arguments[0]]", joint)
    canvas = tab.driver.find_element("css selector", ".stage canvas")
    w, h = canvas.size["width"], canvas.size["height"]
    hand = ActionChains(tab.driver, duration=0).move_to_element_with_offset(
        canvas, round(x - w / 2), round(y - h / 2)
    )
    hand.click_and_hold().move_by_offset(dx, dy).release().perform()
    tab.wait("motionbook.settled")
    place = tab.eval("motionbook.positions.after[arguments[0]]", joint)
    tab.driver.switch_to.default_content()
    tab.wait("report.byHand.size > 0")
    return torch.tensor(place)


def apply_page(tab, src, folder):
    "Apply the table as the page would save it, to the original."
    table, out = folder / "edited.csv", folder / ("applied" + src.suffix)
    table.write_text(from_page(tab, "report.csv()"), encoding="utf-8", newline="")
    clean_file(src, out, apply=table)
    return read(out).actors[0]


def test_the_first_screen_answers(tab, mended):
    open_report(tab, mended[2])
    said = from_page(
        tab,
        "document.querySelector('.verdict').innerText + document.querySelector('.answers').innerText",
    )
    for part in (
        "Better? Yes.",
        "What was wrong",
        "What was done",
        "What to look at",
        "--apply",
        "out.csv.corrections.edited.csv",
    ):
        assert part in said, part
    links = from_page(tab, "[...document.querySelectorAll('.answers a')].map((a) => a.href)")
    assert {x.rsplit("/", 1)[1] for x in links} == {
        "out.csv",
        "out.csv.corrections.csv",
        "page.html#look",
    }
    assert from_page(tab, "document.querySelector('.answers').getBoundingClientRect().bottom") < 800


def test_only_points_with_a_failure_have_a_strip(tab, mended):
    open_report(tab, mended[2])
    bad = int(mended[3].flagged[0].any(0).sum())
    assert from_page(tab, "document.querySelectorAll('.when svg').length") == bad


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_screen(tab, mended, width):
    open_report(tab, mended[2], width)
    assert from_page(tab, "document.documentElement.scrollWidth") <= width
    small = "[...document.querySelectorAll('p, dd, dt, td, li, span, b, pre')].filter((e) => e.innerText && parseFloat(getComputedStyle(e).fontSize) < 11).length"
    assert from_page(tab, small) == 0


def test_a_button_and_a_key_lead_to_suspicious_places(tab, mended):
    open_report(tab, mended[2])
    flags = mended[3].flagged[0].any(1)
    in_player(tab)
    tab.eval("motionbook.seek(0)")
    places = tab.eval("motionbook.places")
    assert places and all(flags[f] for f in places)
    near = torch.nn.functional.max_pool1d(flags.float()[None], 31, 1, 15)[0] > 0
    assert bool(near[places].all()) and len(places) <= int(flags.sum())
    after = [f for f in places if f > 0]
    tab.driver.find_element("css selector", "button[aria-label^='Next suspicious']").click()
    assert tab.eval("motionbook.frame") == after[0]
    ActionChains(tab.driver).send_keys("n").perform()
    assert tab.eval("motionbook.frame") == after[1]
    ActionChains(tab.driver).send_keys("p").perform()
    assert tab.eval("motionbook.frame") == after[0]
    tab.wait("motionbook.settled")
    assert "suspicious place" in tab.eval("document.querySelector('.foot').textContent")


def test_a_table_that_nobody_edited_is_the_table_that_was_written(tab, mended):
    open_report(tab, mended[2])
    assert from_page(tab, "report.csv()") == corrections_text(mended[3])


def test_a_dragged_point_and_a_rejected_repair_are_applied(tab, mended, tmp_path):
    src, _, page, cleaned = mended
    open_report(tab, page)
    old, new = cleaned.original.actors[0], cleaned.scene.actors[0]
    flagged = cleaned.flagged[0]
    good = next(f for f in range(40, len(old)) if not flagged[f - 2 : f + 3].any())
    put = drag(tab, good, 0, 12, -9)
    assert (put - new.positions[good, 0]).norm() > 3
    first = from_page(tab, "document.querySelector('tr[data-run] input').closest('tr').dataset.run")
    from_page(tab, "document.querySelector('tr[data-run] input').click()")
    _, joint, start, stop = map(int, first.split())
    assert from_page(tab, "report.rejected.size") == 1
    done = apply_page(tab, src, tmp_path)
    want = new.positions.clone()
    want[good, 0] = put
    want[start : stop + 1, joint] = old.positions[start : stop + 1, joint]
    assert torch.allclose(done.positions, want, atol=2e-3, equal_nan=True)
    from_page(tab, "document.querySelector('tr[data-run] input').click()")  # taken back
    done = apply_page(tab, src, tmp_path)
    want[start : stop + 1, joint] = new.positions[start : stop + 1, joint]
    assert torch.allclose(done.positions, want, atol=2e-3, equal_nan=True)
    from_page(tab, "report.save()")  # so that the page may be left


def test_a_joint_of_a_bvh_is_dragged(tab, tmp_path):
    src, page = tmp_path / "walk.bvh", tmp_path / "page.html"
    walk = Scene((person("walk", seconds=2, fps=30, seed=1),))
    write(add_jumps(walk, rate=0.01, generator=2).scene, src)
    cleaned = clean_file(src, tmp_path / "out.bvh", report=page)
    open_report(tab, page)
    names = cleaned.scene.actors[0].skeleton.joints
    joint = next(j for j, n in enumerate(names) if "wrist" in n.lower() or "hand" in n.lower())
    put = drag(tab, 20, joint, 6, 6)
    new, done = cleaned.scene.actors[0], apply_page(tab, src, tmp_path)
    far = (put - new.positions[20, joint]).norm()
    assert (done.positions[20, joint] - put).norm() < 0.8 * far  # nearer, as far as the bones allow
    others = torch.arange(len(new)) != 20
    assert torch.allclose(done.positions[others], new.positions[others], atol=1e-4)
    from_page(tab, "report.save()")


def test_the_video_lies_under_the_tracks(tab, tmp_path):
    import numpy as np

    from motionbook.viz.video import encode_film, film_encoder

    scene = add_jumps(mouse(seconds=2, seed=5), rate=0.01, generator=1).scene
    n, src, film = len(scene), tmp_path / "mouse.csv", tmp_path / "my mouse.mp4"
    write(scene, src)
    shots = (
        np.full((480, 640, 3), [0, 4 * k, 0], np.uint8) for k in range(n)
    )  # the green says the frame
    encode_film(film_encoder(), film, shots, 30, (640, 480))
    page = tmp_path / "pages" / "r.html"
    page.parent.mkdir()
    clean_file(src, tmp_path / "out.csv", report=page, video=film)
    open_report(tab, page)
    in_player(tab)
    tab.wait("motionbook.film && motionbook.film.ready")
    for frame in (50, 7, 31):
        tab.eval("motionbook.seek(arguments[0])", frame)
        tab.wait(
            "motionbook.settled && Math.abs(motionbook.film.time - arguments[0]) < 0.005".replace(
                "arguments[0]", str((frame + 0.5) / 30)
            )
        )
        tab.wait("(motionbook.drawn, true)")
    assert tab.errors() == []
