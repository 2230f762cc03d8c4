"""Positions of a diagram's boxes and routes of its arrows: downwards, in rows, with shortcuts at the side.

A box's row is the length of the longest path to it. The longest path of all is in the middle column; every other chain
of boxes gets the nearest column that is free in its rows. An arrow runs straight down if nothing is in the way,
otherwise in a lane next to the boxes that it passes. Its horizontal parts lie in the gaps between the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kzoo.diagnostics.diagram.boxes import Graph, neighbours

GAP = 26.0  # between rows, without the tracks for horizontal parts of arrows
TRACK = 8.0
LANE = 16.0
COLUMN_GAP = 44.0
PORT = 20.0

Point = tuple[float, float]


@dataclass
class Layout:
    """Centres and sizes of boxes, and the corners of every arrow, in pixels; the middle column is at x = 0.

    Attributes:
        centers: (x, y) of each box.
        sizes: (width, height) of each box, as passed.
        paths: corners of each arrow, from the lower edge of one box to the upper edge of another.
        left, right, bottom: edges of the whole drawing; the top is 0.
    """

    centers: list[Point]
    sizes: Sequence[Point]
    paths: list[list[Point]]
    left: float
    right: float
    bottom: float


@dataclass
class _Route:
    before: int
    after: int
    via: float = 0.0  # x of the part that passes other rows
    lane: int = 0  # -1 left, 1 right, 0 none
    ends: list[float] = field(default_factory=list)  # x at the two boxes
    tracks: list[int] = field(default_factory=list)


def lay_out(graph: Graph, sizes: Sequence[Point]) -> Layout:
    """Place boxes of the given sizes (width, height)."""
    rows = _rows(graph)
    columns = _columns(graph, rows)
    xs = _column_offsets(columns, sizes)
    routes = _routes(graph, rows, columns, xs, sizes)
    _ports(routes, rows, sizes, columns, xs)
    tracks = _assign_tracks(routes, rows)
    tops, heights = _row_tops(rows, sizes, tracks)
    centers = [(xs[columns[i]], tops[rows[i]] + heights[rows[i]] / 2) for i in range(len(sizes))]
    paths = [_path(route, rows, centers, sizes, tops, heights) for route in routes]
    lefts = [x - sizes[i][0] / 2 for i, (x, _) in enumerate(centers)] + [p[0] for path in paths for p in path]
    rights = [x + sizes[i][0] / 2 for i, (x, _) in enumerate(centers)] + [p[0] for path in paths for p in path]
    last = max(rows)
    return Layout(centers, sizes, paths, min(lefts), max(rights), tops[last] + heights[last])


def _rows(graph: Graph) -> list[int]:
    inputs, outputs = neighbours(graph)
    rows: list[int] = []
    for before in inputs:
        rows.append(1 + max((rows[i] for i in before), default=-1))
    for index, before in enumerate(inputs):
        if not before and outputs[index]:  # an input is just above the box that first uses it
            rows[index] = max(0, min(rows[i] for i in outputs[index]) - 1)
    return rows


def _columns(graph: Graph, rows: list[int]) -> list[int]:
    inputs, outputs = neighbours(graph)
    count = len(rows)

    # The length of the longest path from each box.
    length = [1] * count
    for index in reversed(range(count)):
        length[index] += max((length[i] for i in outputs[index]), default=0)

    # Chains of boxes, longest first, each in the nearest free column.
    columns: list[int | None] = [None] * count
    taken: dict[int, list[tuple[int, int]]] = {}
    order = sorted(range(count), key=lambda i: (rows[i], -length[i], i))
    for start in order:
        if columns[start] is not None:
            continue
        chain = [start]
        while True:
            free = [i for i in outputs[chain[-1]] if columns[i] is None and rows[i] == rows[chain[-1]] + 1]
            if not free:
                break
            chain.append(max(free, key=lambda i: (length[i], -i)))
        first = min((rows[i] + 1 for i in inputs[start]), default=rows[start])
        end = max([rows[chain[-1]], *(rows[i] - 1 for i in outputs[chain[-1]])])
        column = next(c for c in _outwards() if all(end < a or b < first for a, b in taken.get(c, [])))
        taken.setdefault(column, []).append((first, end))
        for index in chain:
            columns[index] = column
    return [column or 0 for column in columns]


def _outwards() -> list[int]:
    return [0, *(side * step for step in range(1, 1000) for side in (1, -1))]


def _column_offsets(columns: list[int], sizes: Sequence[Point]) -> dict[int, float]:
    widths = dict.fromkeys(range(min(columns), max(columns) + 1), 0.0)
    for column, (width, _) in zip(columns, sizes, strict=True):
        widths[column] = max(widths[column], width)
    offsets = {0: 0.0}
    for side in (1, -1):
        column = side
        while column in widths:
            inner = column - side
            step = widths[inner] / 2 + COLUMN_GAP + widths[column] / 2
            offsets[column] = offsets[inner] + side * step
            column += side
    return offsets


def _routes(
    graph: Graph, rows: list[int], columns: list[int], xs: dict[int, float], sizes: Sequence[Point]
) -> list[_Route]:
    routes = []
    verticals: list[tuple[float, int, int, int]] = []  # x, first and last row passed, box that it comes from
    for before, after in sorted(graph.edges, key=lambda edge: (rows[edge[1]] - rows[edge[0]], edge)):
        route = _Route(before, after, via=xs[columns[after]])
        first, last = rows[before] + 1, rows[after] - 1
        if first <= last:
            passed = [i for i, row in enumerate(rows) if first <= row <= last]
            for x in (xs[columns[before]], xs[columns[after]]):
                boxes = any(abs(xs[columns[i]] - x) < 1 for i in passed)
                lines = any(abs(v[0] - x) < 1 and v[1] <= last and first <= v[2] and v[3] != before for v in verticals)
                if not boxes and not lines:
                    route.via = x
                    break
            else:
                _into_lane(route, passed, (first, last), xs, columns, sizes, verticals)
            verticals.append((route.via, first, last, before))
        routes.append(route)
    order = {edge: number for number, edge in enumerate(graph.edges)}
    return sorted(routes, key=lambda route: order[route.before, route.after])


def _into_lane(
    route: _Route,
    passed: list[int],
    span: tuple[int, int],
    xs: dict[int, float],
    columns: list[int],
    sizes: Sequence[Point],
    verticals: list[tuple[float, int, int, int]],
) -> None:
    """Route an arrow past all boxes and lines in the rows that it passes."""
    reach = {}
    for side in (1, -1):
        edges = [side * xs[columns[i]] + sizes[i][0] / 2 for i in passed]
        lines = [side * v[0] for v in verticals if v[1] <= span[1] and span[0] <= v[2] and v[3] != route.before]
        reach[side] = max([*edges, *lines, 0.0]) + LANE
    route.lane = 1 if reach[1] <= reach[-1] + COLUMN_GAP else -1
    route.via = route.lane * reach[route.lane]


def _ports(
    routes: list[_Route], rows: list[int], sizes: Sequence[Point], columns: list[int], xs: dict[int, float]
) -> None:
    """Where each arrow leaves and enters a box: in the middle, or next to another arrow."""
    for route in routes:
        route.ends = [xs[columns[route.before]], xs[columns[route.after]]]
    for end in (0, 1):
        boxes: dict[int, list[_Route]] = {}
        for route in routes:
            boxes.setdefault(route.after if end else route.before, []).append(route)
        for box, here in boxes.items():
            middle = xs[columns[box]]

            def level(route: _Route, end: int = end, middle: float = middle) -> float:
                other = route.via if rows[route.after] - rows[route.before] > 1 else route.ends[1 - end]
                return other - middle

            if len(here) == 1:
                continue
            for side in (1, -1):
                to_side = sorted((r for r in here if level(r) * side > 1), key=lambda r: abs(level(r)))
                straight = any(abs(level(r)) <= 1 for r in here)
                step = min(PORT, (sizes[box][0] / 2 - 10) / max(len(to_side), 1))
                for number, route in enumerate(to_side):
                    # Arrows that leave on the same side share a port; each arrow that enters has its own, so its head
                    # is visible.
                    port = number if end else 0
                    route.ends[end] = middle + side * step * (port + 1 if straight or len(here) > 1 else port)


def _pieces(route: _Route, rows: list[int]) -> list[tuple[int, float, float]]:
    """The horizontal parts of an arrow: the row that each lies under, and where it begins and ends."""
    before, after = rows[route.before], rows[route.after]
    if after - before == 1:
        return [(before, route.ends[0], route.ends[1])]
    return [(before, route.ends[0], route.via), (after - 1, route.via, route.ends[1])]


def _assign_tracks(routes: list[_Route], rows: list[int]) -> dict[int, int]:
    """Assign horizontal parts in one gap to tracks so that they do not overlap; returns the tracks of each gap."""
    used: dict[tuple[int, int], list[tuple[float, float, tuple[int, int]]]] = {}
    counts: dict[int, int] = {}
    for route in routes:
        for number, (row, start, end) in enumerate(_pieces(route, rows)):
            low, high = min(start, end), max(start, end)
            if high - low < 0.5:
                route.tracks.append(0)
                continue
            key = (number, route.after if number else route.before)  # parts with the same key may share a track
            track = 0
            while any(low < b + 4 and a < high + 4 and key != other for a, b, other in used.get((row, track), [])):
                track += 1
            used.setdefault((row, track), []).append((low, high, key))
            counts[row] = max(counts.get(row, 0), track + 1)
            route.tracks.append(track)
    return counts


def _row_tops(
    rows: list[int], sizes: Sequence[Point], tracks: dict[int, int]
) -> tuple[dict[int, float], dict[int, float]]:
    heights: dict[int, float] = {}
    for row, (_, height) in zip(rows, sizes, strict=True):
        heights[row] = max(heights.get(row, 0.0), height)
    tops, y = {}, 0.0
    for row in range(max(rows) + 1):
        tops[row] = y
        heights.setdefault(row, 0.0)
        y += heights[row] + GAP + TRACK * max(tracks.get(row, 0) - 1, 0)
    return tops, heights


def _path(
    route: _Route,
    rows: list[int],
    centers: list[Point],
    sizes: Sequence[Point],
    tops: dict[int, float],
    heights: dict[int, float],
) -> list[Point]:
    points = [(route.ends[0], centers[route.before][1] + sizes[route.before][1] / 2)]
    for (row, start, end), track in zip(_pieces(route, rows), route.tracks, strict=True):
        if abs(start - end) >= 0.5:
            y = tops[row] + heights[row] + 9 + TRACK * track
            points += [(start, y), (end, y)]
    points.append((route.ends[1], centers[route.after][1] - sizes[route.after][1] / 2))
    return points
