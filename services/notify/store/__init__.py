"""All queries of the notify service.

`deliveries`, `lanes` and `endpoints` are what workers write; `subscriptions`, `rights` and `log` are what people ask,
each as a viewer; `events` is what was heard, for as long as it may be delivered.
"""
