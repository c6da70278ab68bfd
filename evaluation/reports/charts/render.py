"""Specification -> SVG that a strict page may hold: no script, no style attribute, no address.

Rendering takes about 0.1 s a chart (the first one in a process about 1 s), so the result is kept
in a file named by the digest of the specification; the file may be deleted at any time.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import vl_convert
from django.conf import settings

from evaluation.reports.charts.layers import Chart
from evaluation.reports.charts.palette import CLASSES, CONFIG
from training.contracts import json_sha256
from web.files import file_written

SVG = "{http://www.w3.org/2000/svg}"
KEPT_TAGS = {"svg", "g", "path", "line", "text", "tspan", "rect", "circle", "defs", "clipPath"}
KEPT_ATTRIBUTES = {
    *("d", "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "r", "cx", "cy", "width", "height"),
    *("transform", "viewBox", "id", "clip-path", "text-anchor", "font-size", "font-weight"),
    *("fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-miterlimit", "stroke-linecap"),
    *("opacity", "fill-opacity", "stroke-opacity", "display", "pointer-events"),
}
CLEANING = 1  # raise it when the cleaning below changes, so that kept files are made anew


def chart_svg(chart: Chart) -> str:
    """The chart as an inline `<svg>` with its title and description."""
    key = [
        chart.title,
        chart.description,
        chart.spec,
        CONFIG,
        CLEANING,
        version("vl-convert-python"),
    ]
    digest = json_sha256(key)
    path = Path(settings.VAR_DIR) / "charts" / f"{digest}.svg"
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        svg = clean_svg(_convert(chart), chart, prefix=f"c{digest[:10]}")
        _keep(path, svg)
        return svg


def _convert(chart: Chart) -> str:
    svg: str = vl_convert.vegalite_to_svg(chart.spec, config=CONFIG, allowed_base_urls=[])
    return svg


def _keep(path: Path, svg: str) -> None:
    """Keep the drawing; a disk that takes nothing costs only time."""
    with suppress(OSError), file_written(path, durable=False) as file:
        file.write(svg.encode())


def clean_svg(svg: str, chart: Chart, *, prefix: str) -> str:
    """Only known tags and attributes, colours as classes, ids unique in a page of many charts."""
    root = ElementTree.fromstring(svg)  # noqa: S314  (our own renderer wrote it)
    _clean_children(root)
    for element in root.iter():
        _clean_element(element, prefix)
    root.attrib.update(
        {"class": "plot", "role": "img", "aria-labelledby": f"{prefix}-t {prefix}-d"}
    )
    for index, (tag, text) in enumerate((("title", chart.title), ("desc", chart.description))):
        words = ElementTree.Element(tag, {"id": f"{prefix}-{tag[0]}"})
        words.text = text
        root.insert(index, words)
    return ElementTree.tostring(root, encoding="unicode")


def _clean_children(element: ElementTree.Element) -> None:
    for child in list(element):
        child.tag = child.tag.removeprefix(SVG)
        nothing = child.get("display") == "none" or (child.tag == "path" and not child.get("d"))
        if child.tag not in KEPT_TAGS or nothing:
            element.remove(child)
        else:
            _clean_children(child)


def _clean_element(element: ElementTree.Element, prefix: str) -> None:
    element.tag = element.tag.removeprefix(SVG)
    given = {name: value for name, value in element.attrib.items() if name in KEPT_ATTRIBUTES}
    classes = [
        f"{part}-{CLASSES[colour]}"
        for part in ("fill", "stroke")
        if (colour := given.get(part, "").lower()) in CLASSES
    ]
    if classes:
        given["class"] = " ".join(classes)
    if "id" in given:
        given["id"] = f"{prefix}-{given['id']}"
    if "clip-path" in given:
        given["clip-path"] = given["clip-path"].replace("url(#", f"url(#{prefix}-")
    if element.tag == "text":
        given["font-size"] = given.get("font-size", "11").removesuffix("px")
    element.attrib.clear()
    element.attrib.update(given)
