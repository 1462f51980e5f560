"""Measures SASRec in plain PyTorch; runs in an environment that has it.

All data lie on the device and batches are gathered there, so that no data loader
weighs on it. Rows are padded on the right: then the causal mask alone keeps every item
from looking at padding, and PyTorch may use its fused attention.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import child
from benchmarks.flags import peer_parser
from benchmarks.stopwatch import time_runs

_DIM, _LAYERS, _HEADS, _LENGTH, _DROPOUT = 64, 2, 2, 50, 0.5
_STEPS_A_RUN = 128


class Block(nn.Module):
    """Causal attention and a feed-forward part, each `norm(x + dropout(part(x)))`."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(_DIM, 3 * _DIM)
        self.attention_output = nn.Linear(_DIM, _DIM)
        self.inner = nn.Linear(_DIM, 4 * _DIM)
        self.outer = nn.Linear(4 * _DIM, _DIM)
        self.attention_norm = nn.LayerNorm(_DIM)
        self.feed_forward_norm = nn.LayerNorm(_DIM)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, states: Any) -> Any:
        """States [B, L, d] -> [B, L, d]."""
        parts = self.query_key_value(states)
        query, key, value = parts.unflatten(2, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        rate = _DROPOUT if self.training else 0.0
        context = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=rate, is_causal=True
        )
        attended = self.attention_output(context.transpose(1, 2).flatten(2))
        states = self.attention_norm(states + self.dropout(attended))
        fed = self.outer(functional.gelu(self.inner(states)))
        return self.feed_forward_norm(states + self.dropout(fed))


class SASRec(nn.Module):
    """The model; scores items by the table that embeds them.

    Args:
        num_items: V.
    """

    def __init__(self, num_items: int) -> None:
        super().__init__()
        self.items = nn.Embedding(num_items + 1, _DIM, padding_idx=0)
        self.positions = nn.Parameter(torch.zeros(_LENGTH, _DIM))
        self.norm = nn.LayerNorm(_DIM)
        self.dropout = nn.Dropout(_DROPOUT)
        self.blocks = nn.ModuleList(Block() for _ in range(_LAYERS))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, item_ids: Any, lengths: Any, target_ids: Any) -> Any:
        """The loss: softmax over all items.

        Args:
            item_ids: [B, L], padded on the right.
            lengths: real items of each row, at least 1, [B].
            target_ids: the next items, [B].
        """
        states = self.dropout(self.norm(self.items(item_ids) + self.positions))
        for block in self.blocks:
            states = block(states)
        rows = torch.arange(len(lengths), device=lengths.device)
        logits = states[rows, lengths - 1] @ self.items.weight.T
        return functional.cross_entropy(logits, target_ids)


class Peer:
    """The model with what it trains on, every prefix and its next item.

    Args:
        sequences: `.npz` with values and offsets of the training sequences.
        num_items: V.
        batch_size: pairs of a step.
        device: "cpu" or "cuda".
        is_compiled: whether by `torch.compile`.
    """

    def __init__(
        self,
        sequences: Path,
        num_items: int,
        batch_size: int,
        device: str,
        is_compiled: bool,
    ) -> None:
        self.num_items, self.batch_size = num_items, batch_size
        self.device, self.is_compiled = torch.device(device), is_compiled
        arrays = np.load(sequences)
        starts, ends = cut_prefixes(arrays["offsets"])
        self.values = self._on_device(arrays["values"])
        self.starts = self._on_device(np.maximum(starts, ends - _LENGTH))
        self.ends = self._on_device(ends)
        self.model = SASRec(num_items).to(self.device)
        self.loss = torch.compile(self.model) if is_compiled else self.model
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=1e-3, fused=device == "cuda"
        )
        self.order = self._on_device(np.zeros(0))

    def facts(self) -> dict[str, Any]:
        """Versions, and what shows that the task is the same."""
        compiled = " (compiled)" if self.is_compiled else ""
        is_cpu = self.device.type == "cpu"
        return {
            "peer": f"plain SASRec, torch {torch.__version__}{compiled}",
            "device": "cpu" if is_cpu else torch.cuda.get_device_name(),
            "threads": torch.get_num_threads(),
            "num_items": self.num_items,
            "num_pairs": len(self.ends),
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }

    def measure(
        self, warm_up: float, seconds: float, max_steps: int
    ) -> dict[str, float]:
        """Trains for a while; pairs and seconds of the steps after the warm-up."""
        measured = time_runs(self.train, warm_up, seconds, max_steps, _STEPS_A_RUN)
        return {"pairs": measured["steps"] * self.batch_size, **measured}

    def train(self, num_steps: int) -> float:
        """Some steps; the loss of the last one."""
        for _ in range(num_steps):
            if len(self.order) < self.batch_size:
                self.order = torch.randperm(len(self.ends), device=self.device)
            rows = self.order[: self.batch_size]
            self.order = self.order[self.batch_size :]
            loss = self.loss(*self.batch(rows))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        # Waits for the device.
        return float(loss.detach())

    def batch(self, rows: Any) -> tuple[Any, Any, Any]:
        """Items [B, L], lengths [B] and next items [B] of some prefixes."""
        starts, ends = self.starts[rows], self.ends[rows]
        positions = starts[:, None] + torch.arange(_LENGTH, device=self.device)
        is_real = positions < ends[:, None]
        item_ids = self.values[torch.where(is_real, positions, 0)]
        return torch.where(is_real, item_ids, 0), ends - starts, self.values[ends]

    def _on_device(self, array: np.ndarray) -> Any:
        return torch.as_tensor(array.astype(np.int64), device=self.device)


def cut_prefixes(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of every prefix; the item at its end is the next one."""
    spans = itertools.pairwise(offsets.tolist())
    pairs = [(start, end) for start, last in spans for end in range(start + 1, last)]
    starts, ends = np.array(pairs).T
    return starts, ends


def main() -> None:
    """Serves the measurements."""
    parser = peer_parser()
    parser.add_argument("--compile", action="store_true", help="by torch.compile")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if args.use_gpu:
        # As JAX does by default.
        torch.set_float32_matmul_precision("high")

    def make_handlers() -> dict[str, child.Handler]:
        device = "cuda" if args.use_gpu else "cpu"
        peer = Peer(
            args.sequences, args.num_items, args.batch_size, device, args.compile
        )
        return {"facts": peer.facts, "measure": peer.measure}

    child.serve(make_handlers)


if __name__ == "__main__":
    main()
