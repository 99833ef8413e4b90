"""The commitment service: who came to study, who signed, who acted, and what came of it."""
