"""What runs: the command line, the stream, and what its consumers use."""
