"""How a plan becomes a model of a server: transports, blobs, hashing, the transaction. I/O."""
