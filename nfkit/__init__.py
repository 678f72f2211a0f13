"""nfkit."""
