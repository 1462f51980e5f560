import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Compiling takes most of a small model's time; what is computed stays the same.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
