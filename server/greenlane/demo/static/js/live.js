// The server live. Watches a stream of snapshots while somebody can see it, and only then: a tab in the
// background, or a page that is scrolled elsewhere, costs the server nothing.
// Rule: figures come from the stream as they are; nothing is counted here.

import { count, element, number, say } from './dom.js';
import { MINUTE, ageOf, drawHistory, drawLanes, fit, settle } from './live-pictures.js';

const SILENCE = 3_000; // ms without a snapshot: the server sends three a second

const UNANSWERED = 'The server does not answer. Trying again…';
const STOPPING = 'The server is stopping. Waiting for it to come back…';
const REFUSALS = { draining: STOPPING, full: 'The server has no room for one more who watches. Trying again…' };

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
  const openOrClose = () => (seen && !paused && !document.hidden ? stream.open() : stream.close());
  new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; openOrClose(); }).observe(root);
  document.addEventListener('visibilitychange', openOrClose);
  view.button.addEventListener('click', () => {
    paused = !paused;
    say(view.button, paused ? 'Go on' : 'Pause');
    view.state(paused ? 'Paused.' : '', paused);
    openOrClose();
  });
}

/** The stream: opens, notices when it is lost, and tries again. */
class Stream {
  source = null;
  timer = 0;
  lost = false;

  constructor(url, view) {
    this.url = url;
    this.view = view;
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
      if (this.source.readyState !== EventSource.CLOSED) this.lose(UNANSWERED); // else it said why
      this.close();
      this.open();
    }, SILENCE);
  }

  async fail() {
    const source = this.source;
    if (source?.readyState === EventSource.CLOSED) {
      // A refusal. An EventSource does not say why, and does not try again: silence will.
      const why = await refusal(this.url);
      if (this.source === source) this.lose(why);
    } else if (source && !this.lost) {
      this.lose(UNANSWERED); // The browser tries again by itself. What the server itself said before, stands.
    }
  }

  lose(why) {
    this.lost = true;
    this.view.state(why, true);
  }
}

/** Why the server refuses: by its own header, since a proxy before it answers 503 for reasons of its own. */
async function refusal(url) {
  const reply = await fetch(url, { cache: 'no-store' }).catch(() => null);
  reply?.body?.cancel();
  return REFUSALS[reply?.headers.get('Live-Refused')] ?? UNANSWERED;
}

/** What is shown. */
class View {
  pictures = {};
  history = [];
  rows = [];
  snapshot = null;
  names = '';

  constructor(root) {
    this.root = root;
    this.button = root.querySelector('button');
    this.status = root.querySelector('[role=status]');
    this.figures = root.querySelectorAll('[data-figure]');
    this.now = root.querySelector('.live-now');
    this.kept = root.querySelector('tbody');
    for (const canvas of root.querySelectorAll('canvas')) {
      const { picture } = canvas.dataset;
      const words = root.querySelector(`[data-says=${picture}]`);
      this.pictures[picture] = { canvas, words, name: canvas.getAttribute('aria-label'), paper: null };
    }
    root.querySelector('.live-bar').hidden = false;
    const again = () => this.fit();
    new ResizeObserver(again).observe(root);
    for (const look of ['prefers-color-scheme: dark', 'forced-colors: active']) matchMedia(`(${look})`).addEventListener('change', again);
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
    const at = performance.now();
    this.snapshot = snapshot;
    this.history.push({ at, value: snapshot.in_flight });
    while (at - this.history[0].at > MINUTE + 2_000) this.history.shift();
    this.rows = settle(this.rows, snapshot.lanes ?? []);
    this.write(snapshot);
    if (this.now.hidden) {
      this.now.hidden = false;
      this.fit();
    } else this.draw();
  }

  /** Draw anew, after the size or the colours have changed. */
  fit() {
    if (!this.snapshot) return;
    for (const picture of Object.values(this.pictures)) picture.paper = fit(picture.canvas);
    this.draw();
  }

  draw() {
    drawHistory(this.pictures.history.paper, this.history);
    drawLanes(this.pictures.lanes.paper, this.snapshot, this.rows);
  }

  write(snapshot) {
    for (const figure of this.figures) {
      const value = snapshot[figure.dataset.figure];
      say(figure, value === null ? '–' : (FORMATS[figure.dataset.figure] ?? number)(value));
    }
    this.keep([
      ...Object.entries(snapshot.contexts).map(([kind, open]) => [`${kind} contexts, pushed and not popped`, open]),
      ...Object.entries(snapshot.entries).map(([name, entries]) => [`entries in ${name}`, entries]),
    ]);
    const values = this.history.map(({ value }) => value);
    this.tell('history', `now ${number(snapshot.in_flight)}, at most ${number(Math.max(...values))}, at least ${number(Math.min(...values))}`);
    this.tell('lanes', aboutLanes(snapshot));
  }

  tell(picture, text) {
    const { canvas, words, name } = this.pictures[picture];
    say(words, text);
    canvas.setAttribute('aria-label', `${name}: ${text}`);
  }

  keep(kept) {
    const names = kept.map(([name]) => name).join();
    if (names !== this.names) {
      this.names = names; // a race's Locals come and go
      this.kept.replaceChildren(...kept.map(([name]) => element('tr', {}, element('th', { scope: 'row' }, name), element('td'))));
    }
    kept.forEach(([, value], index) => {
      const cell = this.kept.rows[index].cells[1];
      say(cell, number(value));
      cell.classList.toggle('some', value > 0);
    });
  }
}

function aboutLanes(snapshot) {
  const { lanes, ages } = snapshot;
  if (!snapshot.in_flight) return 'none at this moment';
  if (lanes) {
    const [, name, age] = lanes[0];
    return `${count(lanes.length, 'request')}, the oldest ${name} for ${(age / 1000).toFixed(1)} s`;
  }
  return ages.map(([, requests], index) => `${number(requests)} ${ageOf(ages, index)}`).join(', ');
}
