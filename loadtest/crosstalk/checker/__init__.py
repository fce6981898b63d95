"""The checker: is given the records of a history and says what they show.

It knows a cell's role and floor from the header, and nothing of why a strategy should
hold or fail. It imports neither Locust nor gevent, and opens no file and no socket.
"""

from crosstalk.checker.check import Checked, check, conclude
from crosstalk.checker.checker import Checker
from crosstalk.checker.kinds import Check, Kind, Outcome, Role, Verdict
from crosstalk.checker.records import Cell, CutOff, End, Header, Left, NoRecord, Probe, Record
from crosstalk.checker.rules import RULES, Judgement, Rules
from crosstalk.checker.tally import Tally
from crosstalk.checker.verdict import CellFinding, Finding
from crosstalk.checker.witness import Anomaly, Party, Step, Witness

__all__ = [
    "RULES",
    "Anomaly",
    "Cell",
    "CellFinding",
    "Check",
    "Checked",
    "Checker",
    "CutOff",
    "End",
    "Finding",
    "Header",
    "Judgement",
    "Kind",
    "Left",
    "NoRecord",
    "Outcome",
    "Party",
    "Probe",
    "Record",
    "Role",
    "Rules",
    "Step",
    "Tally",
    "Verdict",
    "Witness",
    "check",
    "conclude",
]
