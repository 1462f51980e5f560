"""The public logs of `beam_jobs.fetch`: addresses, digests, terms, flags."""

from __future__ import annotations

from typing import NamedTuple


class Terms(NamedTuple):
    """Terms of use that a publisher sets for a log.

    Attributes:
        summary: of the licence, in a sentence.
        page: where the publisher states it.
        citation: what to cite.
    """

    summary: str
    page: str
    citation: str


class PublishedLog(NamedTuple):
    """A log as its publisher offers it.

    Attributes:
        url: of the file to download.
        terms: of its use.
        flags: how `beam_jobs.prepare_dataset` reads the log.
        members: names in the zip archive to unpack, the log first; empty where the
            file is the log.
        sha256: hex digest of the file, or None where no reliable one is known.
    """

    url: str
    terms: Terms
    flags: tuple[str, ...]
    members: tuple[str, ...] = ()
    sha256: str | None = None

    @property
    def file_name(self) -> str:
        """The downloaded file's name."""
        return self.url.rpartition("/")[2]


_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_SNAP = "https://snap.stanford.edu/data"

MOVIELENS_TERMS = Terms(
    "Research use. No redistribution and no commercial use without permission of "
    "GroupLens; the README in the archive has the full text.",
    "https://grouplens.org/datasets/movielens/",
    'F. M. Harper, J. A. Konstan, "The MovieLens Datasets: History and Context", ACM '
    "TiiS 5(4), 2015",
)
AMAZON_TERMS = Terms(
    "Published for research; the publisher states no licence.",
    "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
    'R. He, J. McAuley, "Ups and Downs: Modeling the Visual Evolution of Fashion '
    'Trends with One-Class Collaborative Filtering", WWW 2016',
)
GOWALLA_TERMS = Terms(
    "Published for research; the publisher states no licence.",
    "https://snap.stanford.edu/data/loc-gowalla.html",
    'E. Cho, S. A. Myers, J. Leskovec, "Friendship and Mobility: User Movement in '
    'Location-Based Social Networks", KDD 2011',
)

_AMAZON_CATEGORIES = {
    "android-apps": "Apps_for_Android",
    "automotive": "Automotive",
    "baby": "Baby",
    "beauty": "Beauty",
    "books": "Books",
    "cds": "CDs_and_Vinyl",
    "clothing": "Clothing_Shoes_and_Jewelry",
    "electronics": "Electronics",
    "grocery": "Grocery_and_Gourmet_Food",
    "health": "Health_and_Personal_Care",
    "home": "Home_and_Kitchen",
    "instant-video": "Amazon_Instant_Video",
    "instruments": "Musical_Instruments",
    "kindle": "Kindle_Store",
    "movies": "Movies_and_TV",
    "music": "Digital_Music",
    "office": "Office_Products",
    "patio": "Patio_Lawn_and_Garden",
    "pets": "Pet_Supplies",
    "phones": "Cell_Phones_and_Accessories",
    "sports": "Sports_and_Outdoors",
    "tools": "Tools_and_Home_Improvement",
    "toys": "Toys_and_Games",
    "video-games": "Video_Games",
}
"""Categories of the Amazon reviews of 2014, 5-core, by the name that asks for them."""


def _movielens(
    name: str, log: str, readme: str, sha256: str | None = None, folder: str = ""
) -> PublishedLog:
    members = tuple(f"{folder or name}/{member}" for member in (log, readme))
    url = f"{_GROUPLENS}/{name}.zip"
    return PublishedLog(
        url, MOVIELENS_TERMS, ("--format", "movielens"), members, sha256
    )


def _amazon(category: str) -> PublishedLog:
    url = f"{_SNAP}/amazon/productGraph/categoryFiles/reviews_{category}_5.json.gz"
    return PublishedLog(url, AMAZON_TERMS, ("--format", "amazon"))


CATALOGUE: dict[str, PublishedLog] = {
    **{name: _amazon(category) for name, category in _AMAZON_CATEGORIES.items()},
    "gowalla": PublishedLog(
        f"{_SNAP}/loc-gowalla_totalCheckins.txt.gz",
        GOWALLA_TERMS,
        ("--format", "csv", "--columns", "user=0,item=4,time=1"),
    ),
    "ml-100k": _movielens(
        "ml-100k",
        "u.data",
        "README",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    "ml-1m": _movielens(
        "ml-1m",
        "ratings.dat",
        "README",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    "ml-10m": _movielens("ml-10m", "ratings.dat", "README.html", folder="ml-10M100K"),
    "ml-20m": _movielens(
        "ml-20m",
        "ratings.csv",
        "README.txt",
        "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ),
    "ml-25m": _movielens(
        "ml-25m",
        "ratings.csv",
        "README.txt",
        "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    ),
    "ml-32m": _movielens(
        "ml-32m",
        "ratings.csv",
        "README.txt",
        "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
    ),
    "ml-latest-small": _movielens(
        "ml-latest-small",
        "ratings.csv",
        "README.txt",
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
}
"""Every log by its name."""
