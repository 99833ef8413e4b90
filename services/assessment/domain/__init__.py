"""What is true of an assessment. Pure: no I/O, no clock. `assessment` is the state machine, the others its nouns."""
