// The race: sends the form, and shows what comes back on the same request while it runs. Everything that
// is shown comes in these lines, so that nothing is asked of another server behind a balancer.

import { number, say } from './dom.js';
import { nameOf } from './lanes.js';
import { clear, draw } from './timeline.js';
import { Track } from './track.js';

const LINES = 'application/x-ndjson';
const LOST = 'The connection to the server was lost: the race has no verdict.';

/** What the race came to instead of an end, to be told as it is. */
class Refused extends Error {}

/**
 * Bring the race to life.
 * @param {HTMLElement} root
 */
export function mount(root) {
  new RacePart(root).prepare();
}

class RacePart {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector('form');
    this.button = this.form.querySelector('button');
    this.status = root.querySelector('#race-status');
    this.figures = root.querySelector('#race-figures');
    this.tracks = root.querySelector('#race-tracks');
    this.figure = root.querySelector('#race-timeline');
    this.lanes = new Map();
    this.shown = new Map();
    this.control = null; // the key of what is raced besides, to be caught
    this.since = 0; // when the first reply came, in seconds
    this.running = null;
  }

  prepare() {
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.running) this.running.abort();
      else this.run();
    });
    this.form.addEventListener('input', () => this.chosen());
    this.chosen();
  }

  /** Show what is chosen: what can be raced under the hazard, and empty fields. */
  chosen() {
    if (this.running) return;
    const { hazard, strategy, beside } = this.form.elements;
    const option = hazard.selectedOptions[0];
    const unavailable = new Set(option.dataset.unavailable.split(' ').filter(Boolean));
    say(this.root.querySelector('#race-note'), option.dataset.summary);
    for (const select of [strategy, beside]) {
      for (const each of select.options) each.disabled = unavailable.has(each.value);
      if (select.selectedOptions[0]?.disabled) select.value = select === beside ? '' : firstEnabled(select);
    }
    const names = [...new Set([strategy.value, beside.value])].filter(Boolean);
    const { value, max } = this.form.elements.requests;
    const total = Math.min(Math.max(Math.floor(Number(value)) || 1, 1), Number(max));
    this.preview(names.map((name) => `${hazard.value}/${name}`), total);
  }

  /** What the form knows of a strategy; of a variant nothing. */
  strategy(name) {
    return [...this.form.elements.strategy.options].find((option) => option.value === name)?.dataset ?? {};
  }

  // What nobody has changed stays where it is, also under the pointer.
  preview(keys, total) {
    const shown = [...this.shown].map(([key, track]) => `${key} ${track.field.cells.length}`).join();
    if (shown === keys.map((key) => `${key} ${total}`).join()) return;
    this.setUp(keys, total);
    this.tell('');
    this.showFigures(null);
  }

  setUp(keys, total) {
    clear(this.figure);
    this.lanes.clear();
    const before = this.shown;
    this.shown = new Map(keys.map((key) => [key, new Track(this, key, total, before.get(key))]));
    this.tracks.replaceChildren(...[...this.shown.values()].map((track) => track.root));
  }

  async run() {
    if (!this.form.reportValidity()) return;
    const form = new URLSearchParams(new FormData(this.form));
    this.running = new AbortController();
    this.enable(false);
    say(this.button, 'Stop');
    this.tell('Starting the load: another process, which sends the requests and judges the replies.');
    this.status.scrollIntoView({ block: this.isInSight() ? 'nearest' : 'start', behavior: stillness() ? 'auto' : 'smooth' });
    try {
      await this.follow(form, this.running.signal);
    } catch (error) {
      const stopped = error.name === 'AbortError';
      this.tell(stopped ? 'Stopped.' : error.message, !stopped);
      if (!stopped && !(error instanceof Refused)) throw error;
    } finally {
      this.running.abort(); // what is left of a reply that nobody reads
      this.running = null;
      this.enable(true);
      say(this.button, 'Run');
      say(this.figures.querySelector('[data-figure="in_flight"]'), '–');
    }
  }

  /** While a race runs, what it was asked for stays as it is. */
  enable(enabled) {
    for (const field of this.form.querySelectorAll('select, input')) field.disabled = !enabled;
  }

  /** Whether the first rows of the fields are on the screen. */
  isInSight() {
    return this.tracks.getBoundingClientRect().top < innerHeight * 0.6;
  }

  async follow(form, signal) {
    const response = await reached(
      fetch(this.form.action, { method: 'POST', headers: { Accept: LINES }, body: form, signal }),
      'The server does not answer: the race has not begun.',
    );
    if (!response.ok) throw new Refused((await refusal(response)) ?? `The server answered ${response.status}.`);
    let ended = false;
    for await (const line of linesOf(response.body)) {
      this.take(line);
      ended ||= line.kind === 'end' || line.kind === 'error';
    }
    if (!ended) throw new Refused(LOST);
  }

  take(line) {
    switch (line.kind) {
      case 'begin':
        this.began(line);
        break;
      case 'control':
        this.control = line.control;
        this.tell(line.control ? `Running. The control beside it, which must be caught: ${line.control}.` : 'Running.');
        break;
      case 'tick':
        this.showFigures(line);
        break;
      case 'request':
        if (line.lane) this.lanes.set(line.lane.id, { ...line.lane, number: line.number });
        this.shown.get(line.cell)?.take(line);
        break;
      case 'lane':
        this.lanes.set(line.lane.id, { ...line.lane, number: null });
        break;
      case 'end':
        this.ended(line);
        break;
      default:
        throw new Refused(line.message);
    }
  }

  began(line) {
    this.root.querySelector('#race-last')?.remove();
    this.setUp(line.cells.map((cell) => cell.key), line.requests);
    for (const cell of line.cells) this.shown.get(cell.key).describe(cell);
    this.showFigures({ elapsed: 0, finished: 0, in_flight: 0, peak: 0, native_threads: 0 });
  }

  showFigures(line) {
    if (!line) {
      for (const figure of this.figures.querySelectorAll('dd')) say(figure, '–');
      return;
    }
    if (!line.finished) this.since = line.elapsed;
    const seconds = line.elapsed - this.since;
    const rate = line.finished && seconds > 0 ? line.finished / seconds : 0;
    const texts = {
      elapsed: `${line.elapsed.toFixed(1)} s`,
      rate: number(Math.round(line.seconds ? line.finished / line.seconds : rate)),
      in_flight: number(line.in_flight ?? 0),
      peak: number(line.peak),
      native_threads: number(line.native_threads),
    };
    for (const [name, text] of Object.entries(texts)) say(this.figures.querySelector(`[data-figure="${name}"]`), text);
  }

  ended(line) {
    this.showFigures(line);
    for (const [key, verdict] of Object.entries(line.verdicts)) this.shown.get(key)?.judge(verdict);
    const control = line.verdicts[this.control];
    const words = [...this.shown.values()].map((track) => `${track.name}: ${track.verdict}.`);
    if (control) words.push(`The control, ${this.control}, ${control.caught ? 'was caught' : 'was not caught'}.`);
    this.tell(words.join(' '));
    const wrong = [...this.shown.values()].find((track) => track.field.nextBad(0));
    // A foreign nonce is the plainest to understand.
    if (wrong && this.figure.hidden) wrong.open(wrong.field.first('foreign') ?? wrong.field.first('torn') ?? wrong.field.nextBad(0), false);
  }

  /** Show who read whose data. */
  openStory(story, mayFocus) {
    const lanes = story.lanes.map((id) => this.lanes.get(id)).filter(Boolean);
    const words = story.words.map((word) => (typeof word === 'number' ? nameOf(this.lanes.get(word)) : word)).join('');
    draw(this.figure, lanes, { ...story, sentence: words.charAt(0).toUpperCase() + words.slice(1) });
    if (mayFocus) {
      this.figure.scrollIntoView({ block: 'nearest', behavior: stillness() ? 'auto' : 'smooth' });
      this.figure.focus({ preventScroll: true });
    }
  }

  tell(text, wrong = false) {
    say(this.status, text);
    this.status.classList.toggle('wrong', wrong);
  }
}

/** Wait for the network, and say in a sentence what it means when it fails. */
async function reached(waiting, otherwise = LOST) {
  try {
    return await waiting;
  } catch (error) {
    throw error.name === 'AbortError' ? error : new Refused(otherwise);
  }
}

function firstEnabled(select) {
  return [...select.options].find((option) => !option.disabled)?.value ?? '';
}

async function refusal(response) {
  try {
    return (await response.json()).error;
  } catch {
    return null;
  }
}

async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reached(reader.read());
    if (done) return;
    const pieces = (rest + value).split('\n');
    rest = pieces.pop();
    for (const piece of pieces) yield JSON.parse(piece);
  }
}

function stillness() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
