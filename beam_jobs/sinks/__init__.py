"""Files that the job writes: TFRecord shards, actions, bad records, each with its digest."""
