"""From a trained run to a servable version.

`BASE/NAME/N` is a TensorFlow SavedModel that takes raw item ids and gives raw item ids.
`BASE/NAME/.meta/N` holds what people and checks need: `model_card.md`,
`golden_requests.jsonl`, `MANIFEST.json`. Importing this package imports no TensorFlow.
"""
