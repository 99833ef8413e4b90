"""What scores are worth, and what follows from many of them: pure, no I/O."""
