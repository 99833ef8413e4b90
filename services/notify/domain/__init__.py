"""Who is told of what, when it is tried again, how it is signed: pure, no I/O."""
