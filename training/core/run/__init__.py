"""What a learning program is as a program: its run directory, errors, events, checkpoints and alarms."""
