"""The model card: what a version is, what it was trained on, what it promises."""

from __future__ import annotations

from typing import Any

from s4rec_tf import spec

_USE = """\
## Use

Inputs are raw item ids, oldest first; {length} a row, left-padded with "".

| signature | inputs | what it does |
| --- | --- | --- |
| `serving_default` | `history` [B, {length}] | best {max_k}, none of the history |
| `recommend` | `history`, `k` [B], `exclude` [B, E] | best k, those of `exclude` too |
| `recommend_with_history` | the same | the history's own items may be answered |
| `recommend_among` | those and `allow` [B, A] | the best k of `allow` alone |
| `similar_items` | `item` [B], `k`, `exclude` | k items of the highest cosine |
| `explain` | `history`, `item` [B] | what each item of the history adds to the score |
| `serving_examples` | `examples` [B]: tf.Example with bytes `history` of any length | \
as `serving_default` |
{more_signatures}
Outputs: `item_ids` and `scores` [B, {max_k}], `user_embedding` [B, {width}],
`is_fallback` [B]; `probabilities` [B, {max_k}] where k is given; `item_embedding` of
similar items; `influences` [B, {length}] and `score` [B] of `explain`; `shares` and
the number of each intent, [B, n], of `intents`.

- Unknown items and "" are skipped; the last {length} that are known count.
- `is_fallback` is true where no item is known. The answer is then the popular items,
  scored by their number of training actions, and `user_embedding` is zero.
- `k` below 0 is taken as 0 and above {max_k} as {max_k}. Entries past k, or past the
  items that remain, are "" with the score -3.4028235e+38.
- Scores order the items of one row, and are no probabilities.
- `probabilities` are fitted to the answers of validation users: of items answered with
  0.02, about one in fifty was the user's next one.

## Limits

{users}
- Items that are not in the vocabulary can be neither understood nor recommended.
- Recommendations follow what was logged, its popularity bias included.
"""

_USER_SIGNATURE = """\
| `recommend_for_user` | `user_id` [B] and the inputs of `recommend` | as `recommend`, \
by the vector of a user it was trained on |
"""
_INTENTS = """\
| `intents` | `history` | the intents of the largest shares, and items each one likes |
"""
_NO_USERS = "- It has no user embeddings; two equal histories get equal answers."
_USERS = """\
- It has a vector of every user that it was trained on, which changes with no action
  since. Raw user ids are stored in it. Other users, and all users of the signatures
  without `user_id`, are served {cold_start_policy}."""


def render(
    *,
    name: str,
    version: int,
    dataset: spec.DatasetInfo,
    fingerprint: str,
    length: int,
    max_k: int,
    width: int,
    cold_start_policy: str | None,
    has_intents: bool,
    card: dict[str, Any],
) -> str:
    """The card as Markdown.

    Args:
        name: model name, the last part of the export folder.
        version: its number.
        dataset: facts of the training data.
        fingerprint: identity of the training data.
        length: L.
        max_k: width of an answer.
        width: d.
        cold_start_policy: how users without a vector are served, in words; None if the
            model has no vectors of users.
        has_intents: whether it has the signature `intents`.
        card: further facts by heading; a dictionary becomes a table.
    """
    parts = [f"# {name}, version {version}\n"]
    for heading, content in card.items():
        parts.append(f"## {heading}\n\n{_render_content(content)}\n")
    facts = {
        "users": dataset.num_users,
        "items": dataset.num_items,
        "actions": dataset.num_actions,
        "least actions of a user or item": dataset.k_core,
        "fingerprint": fingerprint,
    }
    parts.append(f"## Data\n\n{_render_content(facts)}\n")
    users, more_signatures = _NO_USERS, _INTENTS * has_intents
    if cold_start_policy is not None:
        users = _USERS.format(cold_start_policy=cold_start_policy)
        more_signatures += _USER_SIGNATURE
    parts.append(
        _USE.format(
            length=length,
            max_k=max_k,
            width=width,
            users=users,
            more_signatures=more_signatures,
        )
    )
    return "\n".join(parts)


def _render_content(content: Any) -> str:
    if not isinstance(content, dict):
        return f"{content}\n"
    rows = [f"| {key} | {_cell(value)} |" for key, value in content.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows, ""])


def _cell(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
