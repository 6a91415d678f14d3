"""The functions behind the commands: training, testing, export and others."""
