"""What went wrong in the lab, told to the person at the keyboard."""


class LabError(Exception):
    """The message is for people: what failed, why, and what to do next. The command prints it and exits with 1."""
