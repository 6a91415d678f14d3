"""What a network looks at: activation, attention, receptive fields."""
