"""Files on this machine or in an object store, written whole or not at all."""
