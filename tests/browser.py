"""A headless Chromium for the tests that open pages, with its console read along.

with browser(width=900, height=600) as page:
    page.open(path)
    page.eval("motionbook.frames")
    page.errors()
"""

import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

FLAGS = (
    (
        "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-default-apps --disable-extensions --disable-dev-shm-usage "
        "--mute-audio --hide-scrollbars --force-color-profile=srgb --allow-file-access-from-files "
        "--disable-features=Translate,OptimizationHints,MediaRouter "
        "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"  # WebGL without a graphics card
    ).split()
)


def find_chromium():
    "Paths of Chromium and its driver. Without them a test is skipped, and fails where CI is set."
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((p for n in names if (p := shutil.which(n))), None)
    driver = shutil.which("chromedriver")
    if chromium and driver:
        return chromium, driver
    missing = " and ".join(
        n for n, p in (("Chromium", chromium), ("chromedriver", driver)) if not p
    )
    reason = f"no {missing} on this machine; `sh tools/browser.sh` installs both"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Page:
    "One tab."

    def __init__(self, driver):
        self.driver = driver

    def open(self, target):
        "A path or an address."
        url = Path(target).resolve().as_uri() if "://" not in str(target) else str(target)
        self.driver.get(url)
        return self

    def eval(self, expression, *args):
        "The value of a JavaScript expression; `arguments` holds `args`."
        return self.driver.execute_script(f"return {expression}", *args)

    def wait(self, expression, seconds=10):
        "Wait until an expression is true; its value."
        end = time.monotonic() + seconds
        while not (value := self.eval(expression)):
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds} s still not true: {expression}")
            time.sleep(0.03)
        return value

    def errors(self):
        "What the console has said since the last call, warnings and worse."
        return [
            f"{e['level']}: {e['message']}"
            for e in self.driver.get_log("browser")
            if e["level"] in ("SEVERE", "WARNING")
        ]

    def screenshot(self, path=None):
        "The window as an array [height width 3]; `path` keeps the PNG."
        import numpy as np
        from PIL import Image

        png = self.driver.get_screenshot_as_png()
        if path:
            Path(path).write_bytes(png)
        return np.asarray(Image.open(BytesIO(png)).convert("RGB"))

    def emulate(self, **features):
        "Media features such as prefers_color_scheme='dark'."
        media = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})

    def resize(self, width, height, scale=1):
        "The size of the page in CSS pixels, and device pixels for each."
        size = dict(width=width, height=height, deviceScaleFactor=scale, mobile=False)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@contextmanager
def browser(width=900, height=600):
    "A fresh headless Chromium with one tab."
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = find_chromium()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as home:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={home}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        chrome = webdriver.Chrome(options=options, service=Service(driver))
        try:
            page = Page(chrome)
            page.resize(width, height)
            yield page
        finally:
            chrome.quit()
