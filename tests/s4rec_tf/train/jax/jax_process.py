"""The part of the JAX loop's tests that has a process without TensorFlow.

`step DATASET.npz STEPS.npz OUT.npz`: one training step of each of some models.
`batches DATASET.npz OUT.npz`: batches of every kind.
`train [--die_in N] FLAGS`: `s4rec_tf.train_arrays`, killed before it has left the
state of its N-th epoch.
"""

import importlib.abc
import json
import os
import runpy
import sys
from pathlib import Path


class NoTensorFlow(importlib.abc.MetaPathFinder):
    """Makes TensorFlow a package that is not installed."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] in ("tensorflow", "tf_keras"):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def read(path):
    from s4rec_tf.data import array_file

    return array_file.read_arrays(Path(path))


def step(dataset_path, steps_path, output):
    import jax
    import numpy as np

    from s4rec_tf.runs import config
    from s4rec_tf.train.jax.trainer import JaxTrainer

    dataset = read(dataset_path)
    given, found = np.load(steps_path), {}
    for name in json.loads(str(given["cases"])):
        resolved = config.from_flat(json.loads(str(given[f"{name}/config"])))
        train = dataset.splits["train"]
        trainer = JaxTrainer(resolved, dataset.info, train)
        model = trainer.model
        for number, weight in enumerate(model.weights):
            weight.assign(given[f"{name}/weight_{number}"])
        keys = [key for key in given.files if key.startswith(f"{name}/batch/")]
        names = [key.removeprefix(f"{name}/batch/") for key in keys]
        users = {
            part.removeprefix("users/"): given[f"{name}/batch/{part}"]
            for part in names
            if part.startswith("users/")
        }
        batch = {p: given[f"{name}/batch/{p}"] for p in names if "/" not in p}
        batch |= {"users": users} if users else {}
        trainer.put_back(jax.jit(trainer.step)(trainer.state(), batch))
        for term, value in model.get_metrics_result().items():
            found[f"{name}/term/{term}"] = np.asarray(value)
        for number, weight in enumerate(model.weights):
            found[f"{name}/weight_{number}"] = np.asarray(weight)
    np.savez(output, **found)


def batches(dataset_path, output):
    import jax
    import numpy as np

    from s4rec_tf.data.augment import AugmentationSettings
    from s4rec_tf.data.batch_spec import BatchSpec
    from s4rec_tf.data.batches import BatchMaker
    from s4rec_tf.data.samples import training_samples
    from s4rec_tf.train.jax.trainer import device_data

    dataset = read(dataset_path)
    train, found = dataset.splits["train"], {}
    kinds = {
        "prefix": BatchSpec(6, num_views=2, num_negatives=50),
        "sequence": BatchSpec(6, negatives_by_position=True),
        "popular": BatchSpec(
            6,
            num_negatives=50,
            negative_sampling="popularity",
            head_tail_by="prefix",
        ),
        "correlated": BatchSpec(6, num_views=1, num_correlated=2, future=True),
    }
    for name, needs in kinds.items():
        samples = training_samples(
            train, "sequence" if name == "sequence" else "prefix", needs.max_length
        )
        maker = BatchMaker(
            needs,
            samples.num_targets,
            AugmentationSettings(operators=("insert",), insert_ratio=1.0),
            dataset.info.num_items,
        )
        data = device_data(train, samples, needs)
        rows = np.arange(len(samples))
        for key in range(2):
            made = jax.jit(maker.make)(data, rows, jax.random.key(key))
            for part, values in made.items():
                found[f"{name}/{key}/{part}"] = np.asarray(values)
    np.savez(output, **found)


def compute(dataset, given, steps, made_batches):
    step(dataset, given, steps)
    batches(dataset, made_batches)


def train(*flags):
    from s4rec_tf.train import resumption

    if flags[0] == "--die_in":
        left, write, flags = int(flags[1]), resumption.write_last, flags[2:]

        def write_or_die(*arguments):
            nonlocal left
            left -= 1
            if not left:
                os._exit(9)
            write(*arguments)

        resumption.write_last = write_or_die
    sys.argv = ["s4rec_tf.train_arrays", *flags]
    runpy.run_module("s4rec_tf.train_arrays", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.meta_path.insert(0, NoTensorFlow())
    os.environ["KERAS_BACKEND"] = "jax"
    sys.path.insert(0, str(Path(__file__).parents[4]))
    {"compute": compute, "train": train}[sys.argv[1]](*sys.argv[2:])
