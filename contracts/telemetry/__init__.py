"""What operators read: metrics, spans and log lines, as an interface: docs/telemetry.md is written from it."""
