"""What only a patched process shows: queries that let others run, and kills in the middle of them.

Each program runs by itself, because this test process is not patched.
"""

import subprocess
import sys
from pathlib import Path

import pytest

PATCHED = """
from gevent import monkey
monkey.patch_all()
"""

TOO_LATE = """
import psycopg
from gevent import monkey
monkey.patch_all()
"""

BEGIN = """
import random
import sys
import gevent
from gevent.util import wrap_errors
from sqlalchemy import event, text
from greenlane import App
from greenlane.sql import SQLHelper

app = App("programs")
made = []
out = back = 0

def helper(**options):
    db = SQLHelper(sys.argv[1], **options)
    db.init_app(app)
    made.append(db)
    def count(name):
        def listen(*_):
            globals()[name] += 1
        return listen
    event.listen(db.engine, "checkout", count("out"))
    event.listen(db.engine, "checkin", count("back"))
    return db

def wait_for(condition):
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.005)
"""

END = """
for db in made:
    db.close()
"""


def run(program: str, url: str, first: str = PATCHED) -> list[str]:
    """Run a program by itself, with warnings as errors, and return the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", first + BEGIN + program + END, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


OVERLAP = """
db = helper(pool_size=20)
inside = most = 0

def sleep(number):
    global inside, most
    with app.app_context(), db:
        db.query("SELECT 1")
        inside += 1
        most = max(most, inside)
        db.query("SELECT pg_sleep(0.2)")
        inside -= 1
        return db.query("SELECT CAST(:number AS INTEGER)", {"number": number})[0][0] == number

jobs = [gevent.spawn(sleep, number) for number in range(20)]
gevent.joinall(jobs, raise_error=True)
print(most, all(job.value for job in jobs), out, back)
"""


def test_queries_overlap_on_one_native_thread(postgres: str) -> None:
    """B50: twenty greenlets are inside a query of theirs at once, each on its own connection."""
    assert run(OVERLAP, postgres) == ["20 True 20 20"]


def test_psycopg_imported_before_patching_blocks(postgres: str) -> None:
    """The late-patch hazard: whoever queries stops everybody, so never two are inside."""
    assert run(OVERLAP, postgres, first=TOO_LATE) == ["1 True 20 20"]


KILLED = """
db = helper(pool_size=1)
watch = SQLHelper(sys.argv[1], pool_size=1).engine.connect().execution_options(isolation_level="AUTOCOMMIT")
SLEEPS = "SELECT 1 FROM pg_stat_activity WHERE pid = :pid AND state = 'active' AND query LIKE '%pg_sleep%'"

class Enough(Exception):
    pass

def who():
    return db.query("SELECT pg_backend_pid()")[0][0]

def victim():
    global pid
    with app.app_context(), db:
        pid = who()
        db.query("SELECT pg_sleep(0.3), 'the reply of the one that was killed'")

for error in (gevent.GreenletExit, gevent.Timeout, Enough):
    pid = 0
    job = gevent.spawn(wrap_errors(error, victim))
    wait_for(lambda: pid and watch.execute(text(SLEEPS), {"pid": pid}).first())
    job.kill(error)
    with app.app_context(), db:
        read = db.query("SELECT 'mine'")[0][0]
        print(type(job.value) is error, read, who() != pid, out - back)
watch.close()
watch.engine.dispose()
"""


def test_a_reply_that_was_not_read_is_nobodys(postgres: str) -> None:
    """B50, poisoned-connection: whatever ends a query in its middle, its connection is closed."""
    assert run(KILLED, postgres) == ["True mine True 1"] * 3


STORM = """
SLOW = "SELECT CAST(:who AS INTEGER)" + (", pg_sleep(0.002)" if "postgres" in sys.argv[1] else "")
db = helper(pool_size=5)
with db.engine.begin() as connection:
    connection.exec_driver_sql("DROP TABLE IF EXISTS storm")
    connection.exec_driver_sql("CREATE TABLE storm (who INTEGER, half INTEGER)")
rng = random.Random(7)
wrong = overlapped = last = 0

def request(who, pause):
    global wrong, overlapped, last
    with app.app_context(), db:
        for half in (1, 2):
            last = who
            db.execute("INSERT INTO storm VALUES (:who, :half)", {"who": who, "half": half})
            gevent.sleep(pause)
            overlapped += last != who
            wrong += db.query(SLOW, {"who": who})[0][0] != who
    return "finished"

ERRORS = (gevent.GreenletExit, gevent.Timeout, ValueError)
jobs = [gevent.spawn(wrap_errors(ERRORS, request), who, rng.random() / 200) for who in range(300)]
gevent.sleep(0)  # all have begun: what is killed before is not wrapped
for job in rng.sample(jobs, 200):
    gevent.sleep(rng.random() / 200)
    job.kill(rng.choice(ERRORS), block=False)
gevent.joinall(jobs, timeout=50, raise_error=True)
with db.engine.connect() as connection:
    halves = connection.exec_driver_sql("SELECT count(*) FROM storm GROUP BY who").scalars().all()
with db.engine.begin() as connection:
    connection.exec_driver_sql("DROP TABLE storm")
finished = sum(job.value == "finished" for job in jobs)
print("all ended", all(job.ready() for job in jobs), "by kills", len(jobs) - finished > 50)
print("wrong", wrong, "overlapped", overlapped > 20)
print("half stored", sum(count != 2 for count in halves), "lost", max(0, finished - len(halves)))
# Not by the pool's events: one killed in the ping before its checkout has a checkin alone.
print("out", db.engine.pool.checkedout(), "free", db._places.free)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_kills_at_any_moment_leave_nothing(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """B50: many of 300 requests end wherever they are: nothing is half stored, and nothing stays out."""
    url = request.getfixturevalue("postgres") if kind == "postgres" else f"sqlite:///{tmp_path / 'storm.db'}"
    assert run(STORM, url) == [
        "all ended True by kills True",
        "wrong 0 overlapped True",
        "half stored 0 lost 0",
        "out 0 free 5",
    ]


NOTES = """
from werkzeug.test import Client
from greenlane.demo import create_demo
demo = create_demo(secret_key="for this test", database_url=sys.argv[1])
most = wrong = overlapped = 0

def visit(number):
    global most, wrong, overlapped
    client = Client(demo)
    token = client.get("/notes.json", buffered=True).get_json()["token"]
    texts = []
    for turn in range(4):
        texts.insert(0, f"visitor {number}, note {turn}")
        form = {"token": token, "text": texts[0]}
        reply = client.post("/notes.json", data=form, buffered=True).get_json()
        wrong += [note["text"] for note in reply["notes"]] != texts
        most = max(most, reply["in_flight"])
        overlapped += reply["switches"]

gevent.joinall([gevent.spawn(visit, number) for number in range(40)], raise_error=True)
print("wrong", wrong, "at once", 20 < most <= 40, "overlapped", overlapped > 80)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_notes_of_forty_visitors_at_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """B50: the demonstration's page on each of the databases; forty visitors share ten connections."""
    url = request.getfixturevalue("postgres") if kind == "postgres" else f"sqlite:///{tmp_path / 'notes.db'}"
    assert run(NOTES, url) == ["wrong 0 at once True overlapped True"]
