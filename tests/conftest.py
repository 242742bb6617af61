from collections import Counter
from pathlib import Path

import pytest
import torch
from helpers import find_real_data

LONG = ("test_docs.py",)  # one process for minutes: last, it would leave the others idle


def pytest_collection_modifyitems(config, items):
    "Long files come first, so that processes end together; slow tests run where `-m` asks for them."
    size = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.name not in LONG, -size[item.path]))
    if "slow" not in config.getoption("-m"):
        skip = pytest.mark.skip(reason="takes minutes: pytest -m slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


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
