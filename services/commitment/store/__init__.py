"""All queries of the service, a module per noun."""
