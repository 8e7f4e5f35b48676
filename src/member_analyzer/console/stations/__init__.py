"""The stations of the members' way, and how each of them is looked at."""
