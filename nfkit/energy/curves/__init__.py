"""The voltage curves that come with nfkit, as CSV files."""
