"""Queues of training runs, and the ledger of those that finished."""
