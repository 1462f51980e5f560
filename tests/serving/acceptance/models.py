"""SavedModels that strangers could bring, written by TensorFlow and Keras alone.

Values are chosen so that answers can be told without the model: half of x plus two.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1

VERSION = "123"
"""Of the models that TF Serving's own tests use."""

DTYPES = {
    "int8": tf.int8,
    "int16": tf.int16,
    "int32": tf.int32,
    "int64": tf.int64,
    "uint8": tf.uint8,
    "uint16": tf.uint16,
    "uint32": tf.uint32,
    "uint64": tf.uint64,
    "half": tf.float16,
    "bfloat16": tf.bfloat16,
    "float": tf.float32,
    "double": tf.float64,
    "bool": tf.bool,
    "string": tf.string,
}
"""TensorFlow's types by the names of the models `identity_TYPE`."""


def spec(shape, dtype=tf.float32, name="x"):
    return tf.TensorSpec(shape, dtype, name=name)


def save(path: Path, **signatures) -> None:
    """Writes a module whose signatures are functions, each with its specs.

    Args:
        path: of the version.
        signatures: a pair of a function, which returns a dictionary, and specs.
    """
    module = tf.Module()
    concrete = {}
    for name, (function, specs) in signatures.items():
        traced = tf.function(function, input_signature=specs, autograph=False)
        setattr(module, f"call_{name}", traced)
        concrete[name] = traced.get_concrete_function()
    tf.saved_model.save(module, str(path), signatures=concrete)


def half_plus(number: float) -> Callable[[Path], None]:
    """A module that answers half of x, of any length, plus a number."""

    def write(path: Path) -> None:
        def answer(x):
            return {"y": 0.5 * x + number}

        save(path, serving_default=(answer, [spec([None])]))

    return write


def half_plus_graph(number: float) -> Callable[[Path], None]:
    """The same of a TF1 graph over tf.Example, as TF Serving's own test data are.

    x is [B, 1] there, which TF Serving's documentation feeds with a plain list.
    """

    def write(path: Path) -> None:
        with tf.Graph().as_default(), tf1.Session() as session:
            half = tf1.get_variable("half", initializer=0.5, use_resource=False)
            added = tf1.get_variable("added", initializer=number, use_resource=False)
            examples = tf1.placeholder(tf.string, [None], name="examples")
            feature = tf.io.FixedLenFeature([1], tf.float32, [0.0])
            x = tf.identity(tf.io.parse_example(examples, {"x": feature})["x"], "x")
            y = tf.add(half * x, added, name="y")
            session.run(tf1.global_variables_initializer())
            _write_graph(
                path,
                session,
                serving_default=({"x": x}, {"y": y}),
                of_examples=({"examples": examples}, {"y": y}),
            )

    return write


def lookup_graph(path: Path) -> None:
    """A TF1 graph with a table of a file, which must be initialized."""
    vocabulary = path.parent.parent / "colours.txt"
    vocabulary.write_text("red\ngreen\nblue\n")
    with tf.Graph().as_default(), tf1.Session() as session:
        asset = tf.constant(str(vocabulary))
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, asset)
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                asset,
                *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
                *(tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
            ),
            -1,
        )
        colour = tf1.placeholder(tf.string, [None], name="colour")
        number = table.lookup(colour)
        session.run(tf1.tables_initializer())
        _write_graph(
            path, session, serving_default=({"colour": colour}, {"number": number})
        )


def _write_graph(path, session, **signatures) -> None:
    definitions = {
        name: tf1.saved_model.predict_signature_def(inputs, outputs)
        for name, (inputs, outputs) in signatures.items()
    }
    builder = tf1.saved_model.Builder(str(path))
    builder.add_meta_graph_and_variables(
        session,
        [tf.saved_model.SERVING],
        definitions,
        assets_collection=tf1.get_collection(tf1.GraphKeys.ASSET_FILEPATHS),
        main_op=tf1.tables_initializer(),
    )
    builder.save()


def sequential_keras(path: Path) -> None:
    """Keras' own export of y = half of the sum of three numbers, plus two."""
    model = keras.Sequential([keras.Input([3], name="x"), keras.layers.Dense(1)])
    model.set_weights([np.full([3, 1], 0.5, np.float32), np.float32([2])])
    model.export(str(path), verbose=False)


def mirrored_keras(path: Path) -> None:
    """A Keras model that is trained and saved under MirroredStrategy."""
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential(
            [
                keras.Input([1], name="x"),
                keras.layers.Dense(1, kernel_initializer="zeros"),
            ]
        )
        model.compile("sgd", "mse")
        model.fit(np.ones([8, 1]), np.ones([8]), batch_size=8, verbose=0)
        model.set_weights([np.float32([[0.5]]), np.float32([2])])
        model.export(str(path), verbose=False)


def several_signatures(path: Path) -> None:
    """Two questions of one model: plus one and times two, by other names."""
    save(
        path,
        plus_one=(lambda x: {"sum": x + 1}, [spec([None])]),
        serving_default=(lambda x: {"product": x * 2}, [spec([None])]),
        both=(lambda x: {"sum": x + 1, "product": x * 2}, [spec([None])]),
    )


def identity(dtype: tf.DType) -> Callable[[Path], None]:
    """A model that answers what it is sent, of any rank."""

    def write(path: Path) -> None:
        save(
            path,
            serving_default=(lambda x: {"y": tf.identity(x)}, [spec(None, dtype)]),
        )

    return write


def scalars(path: Path) -> None:
    """Answers without a dimension: a string, a number, a truth, a half."""

    def answer(x):
        return {
            "text": tf.strings.join(["sum ", tf.strings.as_string(tf.reduce_sum(x))]),
            "sum": tf.reduce_sum(x),
            "is_any": tf.reduce_any(x > 0),
            "half": tf.cast(tf.reduce_sum(x) / 2, tf.float16),
        }

    save(
        path,
        serving_default=(answer, [spec([None], tf.int32)]),
        text=(lambda x: {"text": answer(x)["text"]}, [spec([None], tf.int32)]),
        name_bytes=(
            lambda x: {"name_bytes": tf.strings.join(["\xff", x])},
            [spec([], tf.string)],
        ),
    )


def many_inputs(path: Path) -> None:
    """Three inputs, of which two have free widths of their own."""

    def answer(words, numbers, weight):
        lengths = tf.reduce_sum(tf.strings.length(words), 1)
        return {
            "letters": lengths,
            "weighted": tf.reduce_sum(numbers, 1) * weight,
            "widths": tf.stack(
                [
                    tf.fill([tf.shape(words)[0]], tf.shape(words)[1]),
                    tf.fill([tf.shape(words)[0]], tf.shape(numbers)[1]),
                ],
                axis=1,
            ),
        }

    save(
        path,
        serving_default=(
            answer,
            [
                spec([None, None], tf.string, "words"),
                spec([None, None], tf.float32, "numbers"),
                spec([None], tf.float32, "weight"),
            ],
        ),
    )


def whole_batch(path: Path) -> None:
    """Answers of a row that depend on the free width and on a fixed first size."""
    save(
        path,
        # A zero at the end changes the answer: padding would be wrong.
        last=(lambda x: {"last": x[:, -1]}, [spec([None, None])]),
        mean=(lambda x: {"mean": tf.reduce_mean(x, 1)}, [spec([None, None])]),
        # Joined with a stranger's three, these would be six.
        share=(lambda x: {"share": x / tf.reduce_sum(x)}, [spec([3])]),
        # Of any rank: nothing says that its first dimension is of rows.
        norm=(lambda x: {"norm": x / tf.reduce_max(x)}, [spec(None)]),
        scale=(
            lambda x, factor: {"y": x * factor},
            [spec([None]), spec([], name="factor")],
        ),
        total=(lambda x: {"total": tf.reduce_sum(x)}, [spec([None])]),
    )


WRITERS: dict[str, Callable[[Path], None]] = {
    "half_plus_two": half_plus(2.0),
    "half_plus_three": half_plus(3.0),
    "half_plus_two_graph": half_plus_graph(2.0),
    "half_plus_three_graph": half_plus_graph(3.0),
    "colours": lookup_graph,
    "sequential_keras": sequential_keras,
    "mirrored_keras": mirrored_keras,
    "several_signatures": several_signatures,
    "scalars": scalars,
    "many_inputs": many_inputs,
    "whole_batch": whole_batch,
    **{f"identity_{name}": identity(dtype) for name, dtype in DTYPES.items()},
}
"""Functions that write a version's folder, by the model's name."""


def write_all(root: Path) -> dict[str, Path]:
    """Writes every model below ROOT/NAME/123; base paths by name."""
    for name, write in WRITERS.items():
        (root / name).mkdir(parents=True)
        write(root / name / VERSION)
    return {name: root / name for name in WRITERS}
