"""What is saved: a trace in the format of Chrome's, for Perfetto, and the picture by itself."""

import re
from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from playwright.sync_api import Page

if TYPE_CHECKING:
    from tests.e2e.page.conftest import Visit
    from tests.e2e.page.timeline.conftest import Draw, Samples

SVG = "{http://www.w3.org/2000/svg}"


def test_a_saved_trace_keeps_to_the_format(page: Page, draw: "Draw", samples: "Samples") -> None:
    for each in samples.values():
        check_format(draw(page, each).saved_trace())


def check_format(saved: dict[str, Any]) -> None:
    assert saved["displayTimeUnit"] == "ms"
    events = saved["traceEvents"]
    named = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    timed = [event for event in events if event["ph"] != "M"]
    assert {(e["pid"], e["tid"]) for e in timed} <= named
    assert {e["ph"] for e in timed} <= {"X", "i", "s", "f"}
    times = [event["ts"] for event in timed]
    assert times == sorted(times)
    assert all(isinstance(time, int) and time >= 0 for time in times)
    for track in named:
        slices = [e for e in timed if e["ph"] == "X" and (e["pid"], e["tid"]) == track]
        assert all(e["dur"] > 0 for e in slices)
        # None of them are nested here, so that all have to be apart.
        assert all(one["ts"] + one["dur"] <= two["ts"] for one, two in pairwise(slices))
    assert all(e["s"] == "t" for e in timed if e["ph"] == "i")


def test_a_saved_trace_ties_the_read_to_the_writes_that_it_got(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    for name, flows in (("foreign", 2), ("torn", 1), ("stale", 2), ("own", 0), ("raced", 2)):
        check_flows(draw(page, samples[name]).saved_trace()["traceEvents"], flows)


def check_flows(events: list[dict[str, Any]], flows: int) -> None:
    begun = {e["id"]: e for e in events if e["ph"] == "s"}
    ended = {e["id"]: e for e in events if e["ph"] == "f"}
    assert len(begun) == len(ended) == flows
    assert begun.keys() == ended.keys()
    for number, start in begun.items():
        end = ended[number]
        assert (start["cat"], start["name"]) == (end["cat"], end["name"])
        assert start["ts"] <= end["ts"]
        assert end["bp"] == "e"
        for e in (start, end):
            around = [
                s
                for s in events
                if s["ph"] == "X"
                and (s["pid"], s["tid"]) == (e["pid"], e["tid"])
                and s["ts"] <= e["ts"] < s["ts"] + s["dur"]
            ]
            assert len(around) == 1, "a flow binds to the slice around its end"
        read = next(
            e
            for e in events
            if e["ph"] == "i" and e["tid"] == end["tid"] and e["ts"] - 1 <= end["ts"] <= e["ts"]
        )
        assert read["tid"] == 1


def test_a_saved_trace_survives_a_clock_that_cannot_tell_steps_apart(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    coarse, late = samples["foreign"], deepcopy(samples["foreign"])
    for lane in coarse["lanes"]:
        for event in lane["events"]:
            event[0] = round(event[0])
    for lane in late["lanes"]:
        # A step at the very moment at which its greenlet switches away.
        for step, following in pairwise(lane["events"]):
            if following[1] == "away" and step[1] != "back":
                step[0] = following[0]
    for drawn in (coarse, late):
        saved = draw(page, drawn).saved_trace()
        check_format(saved)
        check_flows(saved["traceEvents"], 2)


def test_a_saved_picture_stands_alone_in_the_light_colours(
    visit: "Visit", draw: "Draw", samples: "Samples"
) -> None:
    page = visit(color_scheme="dark", viewport={"width": 900, "height": 800})
    drawn = samples["foreign"]
    figure = draw(page, drawn)
    with page.expect_download() as waiting:
        figure.button("Save as SVG").click()
    assert waiting.value.suggested_filename == "greenlane-request-2.svg"
    text = waiting.value.path().read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "Timeline of request 2 and request 3 and request 1"
    description = root.findtext(f"{SVG}desc") or ""
    assert description.startswith(drawn["story"]["sentence"])
    assert "8.334 ms B request 3 writes its nonce to second." in description
    style = root.findtext(f"{SVG}style") or ""
    assert "var(" not in style
    assert "undefined" not in style
    assert ".lane-0 { fill: rgb(26, 95, 180)" in style or ".lane-0 { fill: #1a5fb4" in style
    assert not root.findall(f".//{SVG}script")
    assert "href" not in text
    ids = {node.get("id") for node in root.iter() if node.get("id")}
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids
