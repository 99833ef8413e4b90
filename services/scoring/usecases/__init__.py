"""What happens, in which order: `score` behind Kafka, `official` for imports, `read` for who asks."""
