"""Tables and figures drawn from the ledger of experiments."""
