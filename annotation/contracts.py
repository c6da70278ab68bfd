"""What leaves the annotation room: frozen dataclasses, standard library only."""
