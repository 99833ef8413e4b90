"""What operators look at, as code: writes deploy/observability's rules of SLOs and dashboards. Run it as a module."""
