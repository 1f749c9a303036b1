"""Charts, drawn as lines and areas, so that they are sharp at any size."""

from __future__ import annotations

from math import floor, isfinite, log10

from reports.exporters.pdf.fonts import BODY, BOLD, printable, width_of
from reports.exporters.pdf.paper import DRAWN, FAINT, INK, MARGIN, RULE, Paper
from reports.exporters.pdf.wrapping import wrap
from reports.table import Chart, ChartKind

_HEIGHT = 170.0
_GAP = 24.0  # between two that stand beside each other
_TITLE = 9.0
_LETTERS = 7.0
_TICKS = 4
_MOST_LYING = 14  # bars with long labels, which lie
_BAR = 0.7  # of its slot


class Frame:
    """Where a chart goes: the lower left of its drawing, and its size, in points."""

    def __init__(self, x: float, y: float, width: float, height: float) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height


class Scale:
    """From values to lengths: round numbers of a step of 1, 2 or 5, with all values and zero between them."""

    def __init__(self, values: list[float]) -> None:
        low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
        rough = (high - low) / _TICKS or 1.0
        power = 10.0 ** floor(log10(rough))
        self._step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
        self._first, self._last = floor(low / self._step), -floor(-high / self._step) or 1
        self.ticks = [number * self._step for number in range(self._first, self._last + 1)]

    def share(self, value: float) -> float:
        """Return how far along the axis a value is, from 0 to 1."""
        return (value / self._step - self._first) / (self._last - self._first)

    def shown(self, tick: float) -> str:
        """Return the text at a tick."""
        return f"{tick:,.10g}"


def draw_charts(paper: Paper, charts: tuple[Chart, ...]) -> None:
    """Draw charts, two beside each other."""
    width = (paper.inner - _GAP) / 2
    for first in range(0, len(charts), 2):
        paper.need(_HEIGHT + _TITLE * 3)
        for place, chart in enumerate(charts[first : first + 2]):
            _draw(paper, chart, MARGIN + place * (width + _GAP), width)
        paper.y -= _HEIGHT + _TITLE * 3


def _draw(paper: Paper, chart: Chart, x: float, width: float) -> None:
    canvas = paper.canvas
    canvas.setFont(BOLD, _TITLE)
    canvas.setFillColor(INK)
    title = f"{chart.title} ({chart.unit})" if chart.unit else chart.title
    canvas.drawString(x, paper.y - _TITLE, wrap(printable(title), width, _TITLE, font=BOLD, most=1)[0])
    frame = Frame(x, paper.y - _HEIGHT - _TITLE, width, _HEIGHT - _TITLE)
    points = [(printable(label), value) for label, value in zip(chart.labels, chart.values, strict=True)]
    if not any(isfinite(value) for _, value in points):
        canvas.setFont(BODY, _LETTERS)
        canvas.setFillColor(FAINT)
        canvas.drawString(x, frame.y + frame.height - _LETTERS * 2, "Nothing to draw.")
        return
    slot = frame.width / len(points)
    long = any(width_of(label, BODY, _LETTERS) > slot for label, _ in points)
    if chart.kind is ChartKind.BARS and long and len(points) <= _MOST_LYING:
        _draw_lying(paper, points, frame)
    else:
        _draw_standing(paper, points, frame, line=chart.kind is ChartKind.LINE)


def _draw_lying(paper: Paper, points: list[tuple[str, float]], frame: Frame) -> None:
    """Draw bars from left to right, their labels before them and their values behind."""
    canvas, scale = paper.canvas, Scale([value for _, value in points if isfinite(value)])
    labels = min(frame.width * 0.45, max(width_of(label, BODY, _LETTERS) for label, _ in points))
    left, slot = frame.x + labels + 6, frame.height / len(points)
    long = frame.x + frame.width - left - 40  # behind the longest there is room for its value
    canvas.setFont(BODY, _LETTERS)
    zero = left + long * scale.share(0.0)
    for number, (label, value) in enumerate(points):
        middle = frame.y + frame.height - (number + 0.5) * slot
        canvas.setFillColor(INK)
        canvas.drawRightString(left - 6, middle - _LETTERS / 3, wrap(label, labels, _LETTERS, most=1)[0])
        if not isfinite(value):
            continue
        end, thick = left + long * scale.share(value), min(slot * _BAR, 16.0)
        canvas.setFillColor(DRAWN)
        canvas.rect(min(zero, end), middle - thick / 2, abs(end - zero), thick, stroke=0, fill=1)
        canvas.setFillColor(INK)
        canvas.drawString(max(zero, end) + 4, middle - _LETTERS / 3, scale.shown(value))
    canvas.setStrokeColor(FAINT)
    canvas.line(zero, frame.y, zero, frame.y + frame.height)


def _draw_standing(paper: Paper, points: list[tuple[str, float]], frame: Frame, *, line: bool) -> None:
    """Draw bars or a line over the labels, as many of which are written as there is room for."""
    canvas, scale = paper.canvas, Scale([value for _, value in points if isfinite(value)])
    canvas.setFont(BODY, _LETTERS)
    ticks = max(width_of(scale.shown(tick), BODY, _LETTERS) for tick in scale.ticks)
    area = Frame(frame.x + ticks + 6, frame.y + _LETTERS * 2, frame.width - ticks - 6, frame.height - _LETTERS * 3)
    slot = area.width / len(points)
    canvas.setLineWidth(0.5)
    canvas.setStrokeColor(RULE)
    canvas.setFillColor(FAINT)
    for tick in scale.ticks:
        y = area.y + area.height * scale.share(tick)
        canvas.line(area.x, y, area.x + area.width, y)
        canvas.drawRightString(area.x - 4, y - _LETTERS / 3, scale.shown(tick))
    widest = max(width_of(label, BODY, _LETTERS) for label, _ in points) + 6
    every = max(1, -int(-widest // slot))
    for number, (label, _) in enumerate(points):
        if number % every == 0:
            canvas.drawCentredString(area.x + (number + 0.5) * slot, frame.y + _LETTERS / 2, label)
    places = [(area.x + (number + 0.5) * slot, value) for number, (_, value) in enumerate(points)]
    (_draw_line if line else _draw_bars)(paper, places, area, scale)


def _draw_bars(paper: Paper, places: list[tuple[float, float]], area: Frame, scale: Scale) -> None:
    thick = min(area.width / len(places) * _BAR, 40.0)
    zero = area.y + area.height * scale.share(0.0)
    paper.canvas.setFillColor(DRAWN)
    for x, value in places:
        if isfinite(value):
            end = area.y + area.height * scale.share(value)
            paper.canvas.rect(x - thick / 2, min(zero, end), thick, abs(end - zero), stroke=0, fill=1)


def _draw_line(paper: Paper, places: list[tuple[float, float]], area: Frame, scale: Scale) -> None:
    """Draw a line through the values, broken where there is none."""
    canvas, path, drawing = paper.canvas, paper.canvas.beginPath(), False
    canvas.setFillColor(DRAWN)
    for x, value in places:
        if isfinite(value):
            y = area.y + area.height * scale.share(value)
            (path.lineTo if drawing else path.moveTo)(x, y)
            canvas.circle(x, y, 1.2, stroke=0, fill=1)  # so that one alone is seen
        drawing = isfinite(value)
    canvas.setStrokeColor(DRAWN)
    canvas.setLineWidth(1.2)
    canvas.drawPath(path, stroke=1, fill=0)
