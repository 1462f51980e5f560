"""Composite transforms of the data job, for pipelines of one's own too; see docs."""

from beam_jobs.transforms.drop_erased import DropErased
from beam_jobs.transforms.find_head import FindHead, HeadRule
from beam_jobs.transforms.group_by_user import GroupByUser, GroupedUsers
from beam_jobs.transforms.k_core import KCore, KCoreResult
from beam_jobs.transforms.make_examples import Examples, MakeExamples
from beam_jobs.transforms.read_actions import ReadActions
from beam_jobs.transforms.read_interactions import ReadInteractions, ReadResult
from beam_jobs.transforms.vocabulary import BuildVocabulary

__all__ = [
    "BuildVocabulary",
    "DropErased",
    "Examples",
    "FindHead",
    "GroupByUser",
    "GroupedUsers",
    "HeadRule",
    "KCore",
    "KCoreResult",
    "MakeExamples",
    "ReadActions",
    "ReadInteractions",
    "ReadResult",
]
