"""What drives a training: hooks, loops, schedules, optimizers, resuming."""
