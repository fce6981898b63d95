// One strategy's side of a race: its field of cells, its counts and verdict, and its source, as it runs here.

import { count, element, number, say } from './dom.js';
import { Field } from './field.js';

const JUDGED = ['foreign', 'torn', 'stale', 'missing', 'own', 'doomed', 'failed'];

/** One strategy's side of the race. */
export class Track {
  /**
   * @param {object} part - the race's: what is opened is shown, and told, there
   * @param {string} key - hazard and strategy: `keep-alive/local`
   * @param {number} total - how many requests there are
   * @param {Track} [before] - the last one of the same key, whose source may have been loaded
   */
  constructor(part, key, total, before) {
    this.part = part;
    this.key = key;
    this.name = key.split('/')[1];
    this.lines = new Map();
    this.verdict = '';
    this.field = new Field(this.name, total, (at) => this.open(at, true));
    const { role, meaning = '', shares = '' } = part.strategy(this.name);
    this.role = role;
    this.shares = element('p', { class: 'shares' }, shares);
    this.verdictLine = element('p', { class: 'verdict-line' });
    this.counts = element('p', { class: 'counts' }, `${count(total, 'request')} to send`);
    this.reasons = element('ul', { class: 'reasons' });
    this.next = element('button', { type: 'button', hidden: true, onclick: () => this.openNext() }, 'Who read whose data?');
    this.source = before?.source ?? this.lazySource();
    this.root = element(
      'article',
      { class: 'track', 'aria-label': this.name },
      element('h3', {}, `${this.name} `, element('span', { class: 'role-name' }, meaning)),
      this.shares,
      this.field.root,
      this.counts,
      this.verdictLine,
      this.reasons,
      this.next,
      this.source,
    );
  }

  /**
   * Say what is raced. Of a hazard's variant the form knows nothing.
   * @param {object} cell - as the line `begin` has it
   */
  describe(cell) {
    if (!this.shares.textContent) say(this.shares, cell.summary);
  }

  /**
   * Show how a request was judged.
   * @param {object} line - of a request
   */
  take(line) {
    this.lines.set(line.number, line);
    this.field.judge(line.number, line.judged);
    if (this.lines.size % 10 === 0 || this.lines.size < 10) this.showCounts();
  }

  showCounts() {
    const found = new Map();
    for (const { judged } of this.lines.values()) found.set(judged, (found.get(judged) ?? 0) + 1);
    const parts = JUDGED.filter((judged) => found.has(judged)).map((judged) => `${number(found.get(judged))} ${judged}`);
    say(this.counts, parts.join(', '));
  }

  /**
   * Show the verdict.
   * @param {object} verdict - as the line `end` has it for this key
   */
  judge(verdict) {
    this.verdict = verdict.verdict;
    this.showCounts();
    this.verdictLine.replaceChildren(element('strong', { class: 'verdict', 'data-verdict': verdict.verdict }, verdict.verdict));
    const reasons = [...verdict.reasons];
    if (verdict.verdict === 'ISOLATED' && this.role === 'control') {
      reasons.push('It is known to be broken all the same: what breaks it does not happen in this hazard.');
    }
    this.reasons.replaceChildren(...reasons.map((reason) => element('li', {}, reason)));
    this.next.hidden = this.field.nextBad(0) === null;
  }

  openNext() {
    const next = this.field.nextBad(this.field.at);
    if (next) this.open(next, true);
  }

  /**
   * Open a cell: show who read whose data, or say why that is not known.
   * @param {number} at - from 1
   * @param {boolean} mayFocus
   */
  open(at, mayFocus) {
    this.field.select(at);
    const line = this.lines.get(at);
    if (!line) this.part.tell(`Request ${at} under ${this.name} is not answered yet.`);
    else if (line.story) this.part.openStory(line.story, mayFocus);
    else this.part.tell(`Request ${at} under ${this.name}: ${line.judged}${line.why ? `, ${line.why}` : ''}.`);
  }

  lazySource() {
    const wide = matchMedia('(min-width: 48rem)').matches;
    const made = element('details', { class: 'source', open: wide }, element('summary', {}, 'Its source, as it runs here'));
    made.addEventListener('toggle', () => this.loadSource(made), { once: true });
    return made;
  }

  async loadSource(into) {
    try {
      const response = await fetch(`${this.part.root.dataset.source}${this.key}`, { headers: { Accept: 'application/json' } });
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      for (const piece of (await response.json()).pieces) into.append(...shownSource(this.name, piece));
    } catch {
      into.append(element('p', {}, 'The source could not be read: the server does not answer.'));
    }
  }
}

function shownSource(name, piece) {
  return [
    element('p', { class: 'file' }, `${piece.file}, line ${piece.line}`),
    element('pre', { tabindex: 0, 'aria-label': `Source of ${name}, from line ${piece.line}` }, element('code', {}, piece.text)),
  ];
}
