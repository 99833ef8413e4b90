"""What crosses a border: facts on the wire, topics, regions, roles and token claims. Frozen models and data, no I/O."""
