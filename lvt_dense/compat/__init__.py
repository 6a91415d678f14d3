"""What runs when Python starts, and differences between versions."""
