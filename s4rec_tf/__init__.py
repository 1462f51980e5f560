"""S4Rec on TensorFlow: models, training, evaluation and export.

Importing this package imports neither TensorFlow nor Keras, so that Beam workers, the
server and `--help` stay light.
"""

import os

# tensorflow-recommenders refuses Keras 3 unless this is set before TensorFlow loads.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__version__ = "0.1.0"
