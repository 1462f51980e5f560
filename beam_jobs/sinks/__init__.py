"""Files that the job writes: TFRecord shards, actions, bad records; with digests."""
