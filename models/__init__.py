"""What comes with nfkit: generators to train, published bases as graphs, and frozen models with their recipes."""
