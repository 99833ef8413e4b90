"""Boards as Grafana reads them."""

import json
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphTresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from lab.observability.panel import Board, Panel

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
HEIGHT, WIDTHS = 8, 24


def encoded(board: Board) -> str:
    """The dashboard's JSON: the same text for the same board."""
    made = dashboard.Dashboard(board.title).uid(board.uid).description(board.description)
    made = made.tags(["livinglab"]).timezone("browser").readonly().refresh("30s").time("now-6h", "now")
    made = made.tooltip(DashboardCursorSync.CROSSHAIR).link(_others())
    if board.by_service:
        made = made.with_variable(_service())
    y, number = 0, 0
    for title, panels in board.rows:
        number += 1
        made = made.with_row(dashboard.Row(title).id(number).grid_pos(_at(0, y, WIDTHS, 1)))
        y += 1
        width = WIDTHS // min(3, len(panels))
        for place, panel in enumerate(panels):
            number += 1
            column, line = place % 3, place // 3
            made = made.with_panel(
                _panel(panel, number).grid_pos(_at(column * width, y + line * HEIGHT, width, HEIGHT))
            )
        y += HEIGHT * -(-len(panels) // 3)
    return json.dumps(_of_today(json.loads(JSONEncoder().encode(made.build()))), sort_keys=True, indent=2) + "\n"


def _of_today(told: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that the library writes and the schema of today's Grafana no longer has."""
    del told["style"]
    for variable in told["templating"].get("list", ()):
        for gone in ("id", "auto", "auto_count", "auto_min"):
            del variable[gone]
    return told


def _panel(panel: Panel, number: int) -> Any:
    made = (_newest() if panel.stat else timeseries.Panel()).id(number).title(panel.title).unit(panel.unit)
    told = panel.description + (f" Runbook: docs/runbooks/{panel.runbook}.md" if panel.runbook else "")
    made = made.description(told).datasource(SOURCE).min(0).thresholds(_thresholds(panel))
    if isinstance(made, timeseries.Panel):
        made = made.fill_opacity(8).legend(common.VizLegendOptions().show_legend(True))
        if panel.bad is not None:
            made = made.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
    for place, (query, legend) in enumerate(panel.queries):
        asked = prometheus.Dataquery().expr(query).legend_format(legend).ref_id("ABCDEF"[place]).range()
        made = made.with_target(asked.exemplar(panel.exemplars))
    return made


def _newest() -> stat.Panel:
    return stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _thresholds(panel: Panel) -> Any:
    steps = [Threshold(value=None, color="green")]
    if panel.warn is not None and panel.warn != panel.bad:
        steps.append(Threshold(value=panel.warn, color="yellow"))
    if panel.bad is not None:
        steps.append(Threshold(value=panel.bad, color="red"))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _service() -> Any:
    asked = 'label_values(up{job="livinglab"}, service)'
    return (
        dashboard.QueryVariable("service")
        .label("Service")
        .query(asked)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def _others() -> Any:
    return (
        dashboard.DashboardLink("Living Lab").type(DashboardLinkType.DASHBOARDS).tags(["livinglab"]).as_dropdown(True)
    )


def _at(x: int, y: int, w: int, h: int) -> Any:
    return GridPos(x=x, y=y, w=w, h=h)
