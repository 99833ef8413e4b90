"""One folder per service. No service imports another; they meet in Kafka."""
