"""A witness as a picture: two lanes, what happened in each in its order, and the value that crossed.

Made as an SVG document that loads nothing and takes its colours from where it stands.
"""

from collections.abc import Mapping, Sequence
from math import hypot
from typing import Any
from xml.etree import ElementTree

_LEFT = 210
_STEP = 132
_LANES = {"reader": 46, "writer": 106}
_HEIGHT = 150
_LABELS = {"reader": (-13, -28), "writer": (22, 37)}
"""Where a step's name and its time stand: outside, so that the way of the value is free."""


def draw(witness: Mapping[str, Any], name: str) -> str:
    """Draw a witness, as it stands in the JSON report.

    Args:
        witness: the witness.
        name: of whose cell it is, for the picture's title.

    """
    steps = witness["timeline"]
    width = _LEFT + _STEP * max(len(steps), 3)
    svg = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {_HEIGHT}",
            "width": str(width),
            "height": str(_HEIGHT),
            "role": "img",
            "class": "timeline",
            "font-family": "system-ui, sans-serif",
            "font-size": "12",
            "fill": "currentColor",
        },
    )
    ElementTree.SubElement(svg, "title").text = f"{name}: {witness['kind']}"
    ElementTree.SubElement(svg, "desc").text = in_words(witness)
    _lanes(svg, witness, width)
    for number, step in enumerate(steps):
        _step(svg, step, _LEFT + _STEP * number + _STEP // 2)
    _crossing(svg, witness, steps)
    return ElementTree.tostring(svg, encoding="unicode")


def in_words(witness: Mapping[str, Any]) -> str:
    """Tell a witness in a sentence."""
    reader, writer = witness["reader"], witness["writer"]
    where = (
        "before it wrote anything"
        if witness["checkpoint"] == 0
        else f"at checkpoint {witness['checkpoint']}, after it had switched away by {witness['after']},"
    )
    if witness["value"] is None:
        got = f"an error, {witness['error']}" if witness["error"] else "nothing"
        return f"User {reader['user']} read {where} and got {got}; its own value is {reader['nonce']}."
    by = "nobody in this run" if writer is None else f"user {writer['user']}"
    return (
        f"User {reader['user']} read {where} and got {witness['value']}, written by {by};"
        f" its own value is {reader['nonce']}."
    )


def _lanes(svg: ElementTree.Element, witness: Mapping[str, Any], width: int) -> None:
    for role, y in _LANES.items():
        who = witness[role]
        if who is None and witness["value"] is None:
            continue
        line = {"x1": str(_LEFT), "x2": str(width - 8), "y1": str(y), "y2": str(y)}
        ElementTree.SubElement(
            svg, "line", line | {"stroke": "currentColor", "stroke-opacity": "0.3", "stroke-width": "6"}
        )
        label = "unknown" if who is None else f"user {who['user']}"
        greenlet = "" if who is None or who["greenlet"] is None else f"greenlet {who['greenlet']:#x}"
        _text(svg, 8, y - 2, f"{role}: {label}", weight="600")
        _text(svg, 8, y + 14, greenlet, opacity="0.75")


def _step(svg: ElementTree.Element, step: Mapping[str, Any], x: int) -> None:
    y = _LANES[step["by"]]
    wrote, switched = step["does"].startswith("wrote"), step["does"].startswith("switched")
    if switched:
        ElementTree.SubElement(
            svg,
            "rect",
            {
                "x": str(x - 5),
                "y": str(y - 5),
                "width": "10",
                "height": "10",
                "fill": "none",
                "stroke": "currentColor",
            },
        )
    else:
        filled = "currentColor" if wrote else "none"
        ElementTree.SubElement(
            svg,
            "circle",
            {
                "cx": str(x),
                "cy": str(y),
                "r": "6",
                "fill": filled,
                "stroke": "currentColor",
                "stroke-width": "2",
            },
        )
    name, time = _LABELS[step["by"]]
    _text(svg, x, y + name, step["does"], anchor="middle")
    if step["ms"] is not None:
        _text(svg, x, y + time, f"{step['ms']:.2f} ms", anchor="middle", opacity="0.75")


def _crossing(
    svg: ElementTree.Element, witness: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]
) -> None:
    """Draw the way of the value, from where it was last written to where it was read."""
    written = [number for number, step in enumerate(steps) if step["by"] == "writer"]
    if witness["value"] is None or not written:
        return
    read = max(number for number, step in enumerate(steps) if step["by"] == "reader")
    x1, x2 = (_LEFT + _STEP * number + _STEP // 2 for number in (written[-1], read))
    y1, y2 = _LANES["writer"], _LANES["reader"]
    length = hypot(x2 - x1, y2 - y1)
    right, down = (x2 - x1) / length, (y2 - y1) / length
    tip = (x2 - 9 * right, y2 - 9 * down)
    colour = {"class": "crossing", "stroke": "#d33", "fill": "#d33", "stroke-width": "2"}
    way = {"x1": x1 + 9 * right, "y1": y1 + 9 * down, "x2": tip[0] - 8 * right, "y2": tip[1] - 8 * down}
    ElementTree.SubElement(svg, "line", colour | {name: f"{at:.1f}" for name, at in way.items()})
    corners = [
        tip,
        *((tip[0] - 10 * right + side * down, tip[1] - 10 * down - side * right) for side in (-5, 5)),
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    ElementTree.SubElement(svg, "polygon", colour | {"points": points})


def _text(
    svg: ElementTree.Element,
    x: int,
    y: int,
    text: str,
    *,
    anchor: str = "start",
    weight: str = "",
    opacity: str = "",
) -> None:
    attributes = {"x": str(x), "y": str(y), "text-anchor": anchor}
    if weight:
        attributes["font-weight"] = weight
    if opacity:
        attributes["fill-opacity"] = opacity
    ElementTree.SubElement(svg, "text", attributes).text = text
