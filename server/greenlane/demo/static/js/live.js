// The server live. Watches a stream of snapshots while somebody can see it, and only then: a tab in the
// background, or a page that is scrolled elsewhere, costs the server nothing.
// Rule: figures come from the stream as they are; nothing is counted here.

import { count, element, number, say } from './dom.js';
import { AGES, drawHistory, drawLanes, fit, Rows } from './live-pictures.js';

const MINUTE = 60_000;
const TEXT_EVERY = 500; // ms: faster than that nobody reads
const GROWTH = 80; // ms between two steps of a lane that grows: a screen's own rate shows no more
const SILENCE = 3_000; // ms without a snapshot: the server sends three a second

const UNANSWERED = 'The server does not answer. Trying again…';
const STOPPING = 'The server is stopping. Waiting for it to come back…';
const FULL = 'The server has no room for one more who watches. Trying again…';

const FORMATS = {
  loop_delay_ms: (value) => `${value.toFixed(1)} ms`,
  memory_bytes: (value) => `${number(Math.round(value / 1e6))} MB`,
  requests_per_second: (value) => number(Math.round(value)),
};

/**
 * Bring the part to life.
 * @param {HTMLElement} root - its `data-url` names the stream
 */
export function mount(root) {
  const view = new View(root);
  const stream = new Stream(root.dataset.url, view);
  let paused = false;
  let seen = false;
  const settle = () => (seen && !paused && !document.hidden ? stream.open() : stream.close());
  new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; settle(); }).observe(root);
  document.addEventListener('visibilitychange', settle);
  view.button.addEventListener('click', () => {
    paused = !paused;
    say(view.button, paused ? 'Go on' : 'Pause');
    view.state(paused ? 'Paused.' : '', paused);
    settle();
  });
}

/** The stream: opens, notices when it is lost, and tries again. */
class Stream {
  constructor(url, view) {
    this.url = url;
    this.view = view;
    this.source = null;
    this.timer = 0;
    this.lost = false;
  }

  open() {
    if (this.source) return;
    this.source = new EventSource(this.url);
    this.source.addEventListener('snapshot', (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener('end', () => this.lose(STOPPING));
    this.source.addEventListener('error', () => this.fail());
    this.expect();
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.view.rest();
  }

  take(snapshot) {
    if (this.lost) this.view.state('The server answers again.', false);
    this.lost = false;
    this.view.take(snapshot);
    this.expect();
  }

  /** Take silence for a loss, and try again: a blocked server, or a machine that slept, keeps its connections. */
  expect() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.lose(UNANSWERED);
      this.close();
      this.open();
    }, SILENCE);
  }

  async fail() {
    const source = this.source;
    if (!source) return;
    if (source.readyState !== EventSource.CLOSED) {
      // The browser tries again by itself. What was said before, by the server itself, stands.
      if (!this.lost) this.lose(UNANSWERED);
      return;
    }
    // A refusal. An EventSource does not say why, and does not try again: silence will.
    const reply = await fetch(this.url, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
    if (this.source === source) this.lose(reply?.status === 503 ? FULL : UNANSWERED);
  }

  lose(why) {
    this.lost = true;
    this.view.state(why, true);
    this.view.rest();
  }
}

/** What is shown. */
class View {
  constructor(root) {
    this.root = root;
    this.button = root.querySelector('button');
    this.status = root.querySelector('[role=status]');
    this.figures = root.querySelectorAll('[data-figure]');
    this.now = root.querySelector('.live-now');
    this.kept = root.querySelector('tbody');
    this.cells = new Map();
    this.pictures = {};
    this.words = {};
    for (const picture of ['history', 'lanes']) {
      this.pictures[picture] = root.querySelector(`[data-picture=${picture}]`);
      this.words[picture] = root.querySelector(`[data-says=${picture}]`);
    }
    this.papers = {};
    this.history = [];
    this.rows = new Rows();
    this.snapshot = null;
    this.written = -Infinity;
    this.frame = 0;
    this.still = matchMedia('(prefers-reduced-motion: reduce)');
    root.querySelector('.live-bar').hidden = false;
    const again = () => this.fit();
    new ResizeObserver(again).observe(root);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
  }

  /**
   * Say how the watching goes.
   * @param {string} text - read out by a screen reader, so only what changes
   * @param {boolean} old - whether the figures are no longer those of now
   */
  state(text, old) {
    say(this.status, text);
    this.root.classList.toggle('old', old);
  }

  take(snapshot) {
    const now = performance.now();
    this.snapshot = snapshot;
    this.history.push({ at: now, value: snapshot.in_flight });
    while (now - this.history[0].at > MINUTE + 2_000) this.history.shift();
    if (snapshot.lanes) this.rows.take(snapshot.lanes, now);
    if (now - this.written >= TEXT_EVERY) {
      this.written = now;
      this.write(snapshot);
    }
    if (this.now.hidden) {
      this.now.hidden = false;
      this.fit();
    }
    drawHistory(this.papers.history, this.history, now);
    this.animate();
  }

  /** Stop what moves, and leave it as it is. */
  rest() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  /** Draw anew, after the size or the colours have changed. */
  fit() {
    if (!this.snapshot) return;
    for (const [name, canvas] of Object.entries(this.pictures)) this.papers[name] = fit(canvas);
    const now = this.history.at(-1).at;
    drawHistory(this.papers.history, this.history, now);
    drawLanes(this.papers.lanes, this.snapshot, this.rows, now);
  }

  /** Let the lanes grow between snapshots, until nothing is left that grows. */
  animate() {
    this.rest();
    let drawn = -Infinity;
    const draw = (now) => {
      if (now - drawn >= GROWTH) {
        drawLanes(this.papers.lanes, this.snapshot, this.rows, now);
        drawn = now;
      }
      const moving = this.snapshot.lanes && this.rows.used > 0 && !this.still.matches;
      this.frame = moving ? requestAnimationFrame(draw) : 0;
    };
    this.frame = requestAnimationFrame(draw);
  }

  write(snapshot) {
    for (const figure of this.figures) {
      const value = snapshot[figure.dataset.figure];
      const format = FORMATS[figure.dataset.figure] ?? ((plain) => number(plain));
      say(figure, value === null ? '–' : format(value));
    }
    for (const [kind, open] of Object.entries(snapshot.contexts)) this.keep(`${kind} contexts, pushed and not popped`, open);
    for (const [name, entries] of Object.entries(snapshot.entries)) this.keep(`entries in ${name}`, entries);
    const values = this.history.map(({ value }) => value);
    this.tell('history', `now ${number(snapshot.in_flight)}, at most ${number(Math.max(...values))}, at least ${number(Math.min(...values))}`);
    this.tell('lanes', aboutLanes(snapshot));
  }

  tell(picture, text) {
    say(this.words[picture], text);
    const canvas = this.pictures[picture];
    canvas.dataset.name ??= canvas.getAttribute('aria-label');
    canvas.setAttribute('aria-label', `${canvas.dataset.name}: ${text}`);
  }

  keep(name, value) {
    let cell = this.cells.get(name);
    if (!cell) {
      cell = element('td');
      this.kept.append(element('tr', {}, element('th', { scope: 'row' }, name), cell));
      this.cells.set(name, cell);
    }
    say(cell, number(value));
    cell.classList.toggle('some', value > 0);
  }
}

function aboutLanes(snapshot) {
  const { lanes, ages } = snapshot;
  if (!snapshot.in_flight) return 'none at this moment';
  if (lanes) {
    const [, name, age] = lanes[0];
    return `${count(lanes.length, 'request')}, the oldest ${name} for ${(age / 1000).toFixed(1)} s`;
  }
  return ages.map((requests, index) => `${number(requests)} ${AGES[index]}`).join(', ');
}
