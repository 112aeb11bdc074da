"""What can be tested: one file a kind of target. Each offers the contract of :mod:`zmqfuzz.target`."""
