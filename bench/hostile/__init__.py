"""What a server stands: floods of several kinds while calls go on. `python -m bench.hostile` runs all of them."""
