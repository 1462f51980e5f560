"""Many days run one after the other, each beside a rebuild from scratch."""
