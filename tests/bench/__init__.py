"""Speed, as ratios measured in one run: `make bench`, or `make bench ONLY=scoring`. Results: RESULTS.md beside this."""
