"""Trainings that are killed at chosen moments and go on, all in one process.

A kill is an exception that nothing cleans up after: what lies on the disk then is what
`kill -9` would have left. The next life finds a model whose every variable is spoilt.
"""

import contextlib
import functools
import io
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from s4rec_tf import atomic_files
from s4rec_tf.runs import checkpoints, config
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.runs.store import Store
from s4rec_tf.train import keeping, resumption
from s4rec_tf.train import trainer as training
from s4rec_tf.train.tensorflow import training_data
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer
from tests.s4rec_tf.small_runs import arrays

KEEPING = keeping.Keeping(minutes=0, steps=3)


class Killed(BaseException):
    """A stand-in for `kill -9`."""


class Fuse:
    """Kills at a moment, or before a step; both are counted from 1."""

    def __init__(self, moment=None, step=None):
        self.moment, self.step, self.is_blown = moment, step, False
        self.passed = self.steps = 0

    def burn(self):
        self.passed += 1
        if self.passed == self.moment:
            self.blow()

    def begin_step(self):
        self.steps += 1
        if self.steps == self.step:
            self.blow()

    def blow(self):
        self.is_blown = True
        raise Killed


class KeptTrainer(TensorFlowTrainer):
    """Traces its step once for all lives."""

    traced = None

    def begin(self, epoch, first_step=0):
        super().begin(epoch, first_step)
        self.traced = self._compiled_step = self.traced or self._compiled_step


class Lives:
    """One trainer, of which every life knows only what lies on the disk.

    Args:
        model: its name.
        dataset: a dataset folder.
        settings: "key=value" each.
    """

    def __init__(self, model, dataset, settings):
        self.resolved = config.resolve(model, None, settings)
        self.dataset, data = dataset, training_data.read(self.resolved, dataset)
        self.trainer = KeptTrainer(
            self.resolved, dataset.info(), data.train, streamed=data.streamed
        )
        self.valid = data.valid
        self.variables = resumption.training_variables(self.trainer.model)
        self.first_values = [np.array(variable) for variable in self.variables]

    def live(self, run_dir, moment=None, step=None, kept=KEEPING, of=None):
        """Begins or resumes a run, till it is killed; returns the moments passed.

        Args:
            moment: to be killed at.
            step: to be killed before.
            kept: when states are written.
            of: what moments are, a context of a fuse; `moments` if None.
        """
        run, fuse = RunDir(run_dir), Fuse(moment, step)
        self._spoil()
        with (of or moments)(fuse), contextlib.suppress(Killed):
            run.begin(self.resolved, self.dataset)
            training.train_run(
                self.trainer, run, self.valid, self._initialize, keeping=kept
            )
        assert run.is_finished() or fuse.is_blown
        return fuse.passed

    def _spoil(self):
        sums = [
            variable
            for mean in self.trainer.model.term_means.values()
            for variable in mean.variables
        ]
        for variable in [*self.variables, *sums]:
            variable.assign(np.full(variable.shape, 77))

    def _initialize(self, model):
        for variable, value in zip(self.variables, self.first_values, strict=True):
            variable.assign(value)


def burning(fuse, function):
    """The function, with a moment before and one after."""

    def around(*arguments):
        fuse.burn()
        result = function(*arguments)
        fuse.burn()
        return result

    return around


@contextlib.contextmanager
def uploads(fuse):
    """Burns a fuse before and after every object that is written to a store."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("put", "copy"):
            patch.setattr(Store, name, burning(fuse, getattr(Store, name)))
        yield


@contextlib.contextmanager
def moments(fuse):
    """Burns a fuse before and after every step and everything done to a file."""
    around = functools.partial(burning, fuse)

    def savez(stream, **contents):
        whole = io.BytesIO()
        np_savez(whole, **contents)
        half = len(whole.getvalue()) // 2
        stream.write(whole.getvalue()[:half])
        stream.flush()
        fuse.burn()
        stream.write(whole.getvalue()[half:])

    def unlink(path, missing_ok=False):
        if not fuse.is_blown:
            path_unlink(path, missing_ok)

    def step(trainer):
        fuse.begin_step()
        return around(kept_step)(trainer)

    np_savez, path_unlink, kept_step = np.savez, Path.unlink, KeptTrainer.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptTrainer, "step", step)
        patch.setattr(os, "replace", around(os.replace))
        patch.setattr(os, "fsync", around(os.fsync))
        patch.setattr(checkpoints.np, "savez", savez)
        patch.setattr(atomic_files.Path, "unlink", unlink)
        yield


def history(run_dir):
    """The log of a run without the seconds, which no two trainings have in common."""
    lines = RunDir(run_dir).metrics.read_text("utf-8").splitlines()
    return [{**json.loads(line), "train_seconds": None} for line in lines]


def assert_same_run(ours, theirs):
    """Weights, optimizer, random states, progress and log, bit for bit."""
    for name in ("last", "best"):
        one, other = (arrays(getattr(RunDir(run), name)) for run in (ours, theirs))
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=f"{name} {key}")
    assert history(ours) == history(theirs)
    left = sorted(path.name for path in RunDir(ours).last.parent.iterdir())
    assert left == ["before_last.npz", "best.npz", "last.npz"]


def random_moments(lives, run_dir, most, seed, kills):
    """Kills a run at random moments, then lets it end.

    Args:
        lives: whose run.
        run_dir: a new run folder.
        most: moments that an uninterrupted run has.
        seed: of the moments.
        kills: how many.

    Returns:
        the number of times that it was killed.
    """
    draw, killed = random.Random(seed), 0
    while killed < kills and not RunDir(run_dir).is_finished():
        lives.live(run_dir, draw.randint(1, max(most // 3, 1)))
        killed += not RunDir(run_dir).is_finished()
    if not RunDir(run_dir).is_finished():
        lives.live(run_dir)
    return killed
