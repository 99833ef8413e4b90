"""The five dashboards."""

from lab.observability.boards import deliveries, flow, outbox, participation, service

BOARDS = (flow.BOARD, service.BOARD, outbox.BOARD, deliveries.BOARD, participation.BOARD)
