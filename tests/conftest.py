import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def find_real_data() -> Path | None:
    "The folder of real recordings: MOTIONBOOK_REAL_DATA, or shared/data beside the clone."
    given = os.environ.get("MOTIONBOOK_REAL_DATA")
    places = [Path(given)] if given else [ROOT.parent / "shared" / "data"]
    return next((p for p in places if p.is_dir()), None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    "Real recordings, which are not part of the repository; without them the test is skipped."
    found = find_real_data()
    if found is None:
        pytest.skip("no real recordings: set MOTIONBOOK_REAL_DATA, or put them in ../shared/data")
    return found


@pytest.fixture
def one_thread():
    "One thread for a test, which is faster on small tensors."
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
