import os

import pytest

pytest_plugins = ["user_seconds"]

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Compiling takes most of a small model's time; what is computed stays the same.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# OpenMP's threads spin while they wait, on a core that the other test process has.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_SLOWEST = (
    *("test_demo.py", "test_adding_a_model.py", "test_training.py", "test_replicas.py"),
    *("test_beam_object_stores.py", "test_contract.py", "test_tutorial.py"),
    "test_real_days.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Puts the files that take minutes first, or one process would end alone."""
    items.sort(key=lambda item: item.path.name not in _SLOWEST)
