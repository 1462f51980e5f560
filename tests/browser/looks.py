"""Comparison of a page as it looks with a stored picture."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

BASELINES = Path(__file__).parent / "baselines"
WIDTHS = {"phone": 360, "tablet": 820, "desktop": 1440}
COLUMNS, MOST_OFF = 96, 0.2
"""Width of what is compared, and the share of its ink that may differ."""


def small(picture):
    """Grey picture of a screenshot, float [H, 96], of values 0 to 255."""
    image = Image.open(io.BytesIO(picture)).convert("L")
    rows = round(image.height * COLUMNS / image.width)
    return np.asarray(image.resize((COLUMNS, rows), Image.Resampling.BOX), float)


def is_alike(found, stored):
    """Whether two small pictures differ by no more than letters' edges do."""
    if found.shape != stored.shape:
        return False
    ink = np.abs(stored - np.median(stored)).mean()
    return bool(np.abs(found - stored).mean() < MOST_OFF * ink)


def compare(page, name):
    found = small(page.screenshot())
    path = BASELINES / f"{name}.png"
    if os.environ.get("UPDATE_BASELINES"):
        Image.fromarray(found.astype(np.uint8)).save(path, optimize=True)
    stored = np.asarray(Image.open(path), float)
    assert is_alike(found, stored), f"{name} looks unlike {path}"


def opened(browser, address, width, scheme="light"):
    viewport = {"width": width, "height": 900}
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.goto(address)
    return page
