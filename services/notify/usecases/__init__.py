"""What is done with events and subscriptions, in which order."""
