"""A day without hands: new logs become a version in service, or are refused."""
