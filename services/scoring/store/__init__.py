"""All queries of the scoring service.

`projection` is what the worker writes, and `api` may not import it; `scores` is what readers ask, each as a viewer;
`instruments` both need.
"""
