"""The tour: from an object that everybody shares to the stacks of the App, shown and run.

Each chapter is a module whose code is shown, run, and judged by what it did. May
import anything of Greenlane but the command line, and nothing imports it but that.
"""

from typing import Final

from greenlane.demo.tour import (
    ch01_shared_object,
    ch02_thread_local,
    ch03_idents,
    ch04_local_by_hand,
    ch05_stack_in_each_lane,
    ch06_proxies,
    ch07_request_by_hand,
    ch08_two_stacks,
    ch09_why_a_stack,
    ch10_several_apps,
    ch11_offline_scripts,
    ch12_sql_helper,
    ch13_headline,
)
from greenlane.demo.tour.chapter import Chapter
from greenlane.demo.tour.visit import visit

__all__ = ["CHAPTERS", "visit"]

_MODULES: Final = (
    ch01_shared_object,
    ch02_thread_local,
    ch03_idents,
    ch04_local_by_hand,
    ch05_stack_in_each_lane,
    ch06_proxies,
    ch07_request_by_hand,
    ch08_two_stacks,
    ch09_why_a_stack,
    ch10_several_apps,
    ch11_offline_scripts,
    ch12_sql_helper,
    ch13_headline,
)

#: The chapters by their numbers, which count from 1.
CHAPTERS: Final[dict[int, Chapter]] = {
    number: module.CHAPTER
    for number, module in enumerate(_MODULES, start=1)
}
