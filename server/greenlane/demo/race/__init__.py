"""Races: real requests to this server, in an arena of their own, shown while they run.

Rule: what is shown is what happened. The load is another program, which also judges;
the lanes are recorded where the requests are served; nothing here knows which strategy holds.

- :mod:`~greenlane.demo.race.settings`: what is asked for
- :mod:`~greenlane.demo.race.arena`: where the requests are served
- :mod:`~greenlane.demo.race.load`: the program that sends the requests
- :mod:`~greenlane.demo.race.recorder`: what each request did
- :mod:`~greenlane.demo.race.story`: what that means, in words
- :mod:`~greenlane.demo.race.results`: what came of it, kept for whoever opens the page after it
- :mod:`~greenlane.demo.race.source`: the source of what is raced
- :mod:`~greenlane.demo.race.run`: one race, as lines
- :mod:`~greenlane.demo.race.feed`: these lines, for whoever reads them, or does not
- :mod:`~greenlane.demo.race.views`: how it is started, and answered in lines or by a page
"""

from greenlane.demo.race.views import RacePage

__all__ = ["RacePage"]
