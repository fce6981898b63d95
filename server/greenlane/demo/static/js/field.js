// The field of a race: a cell for each request, which fills in when its reply has been judged.
// A listbox with one place in the order of focus: arrow keys move in it, Enter opens a cell.

import { element } from './dom.js';

const MEANING = {
  waiting: 'not answered yet',
  own: 'own, it read its own nonce',
  foreign: 'foreign, it read the nonce of another request',
  torn: 'torn, its two fields did not belong together',
  stale: 'stale, it found data before it had written',
  missing: 'missing, it found nothing where its own nonce should be',
  doomed: 'ended on purpose',
  failed: 'failed',
};

const BAD = new Set(['foreign', 'torn', 'stale', 'missing']);

let fields = 0;

/** The cells of one strategy. */
export class Field {
  /**
   * @param {string} name - of the strategy
   * @param {number} total - how many requests there are
   * @param {(number: number) => void} open - called with the number of a cell that somebody opens
   */
  constructor(name, total, open) {
    const id = `field-${(fields += 1)}`;
    this.cells = Array.from({ length: total }, (_, index) => cell(`${id}-${index + 1}`, index + 1));
    this.root = element(
      'div',
      { id, class: 'field', role: 'listbox', tabindex: 0, 'aria-label': `Requests under ${name}`, 'data-size': size(total) },
      ...this.cells,
    );
    this.open = open;
    this.at = 0;
    this.root.addEventListener('focus', () => this.at || this.select(1));
    this.root.addEventListener('click', (event) => this.clicked(event));
    this.root.addEventListener('keydown', (event) => this.pressed(event));
  }

  /**
   * Show how a request was judged.
   * @param {number} number - from 1
   * @param {string} judged
   */
  judge(number, judged) {
    const shown = this.cells[number - 1];
    if (!shown) return;
    shown.dataset.state = judged;
    shown.setAttribute('aria-label', `request ${number}: ${MEANING[judged] ?? judged}`);
  }

  /**
   * The number of the first cell that was judged so.
   * @param {string} judged
   * @returns {number|null}
   */
  first(judged) {
    return this.cells.findIndex((each) => each.dataset.state === judged) + 1 || null;
  }

  /**
   * The number of the first cell that went wrong behind another one, around to the beginning.
   * @param {number} after - 0 for the first of all
   * @returns {number|null}
   */
  nextBad(after) {
    const numbers = this.cells.map((_, index) => ((after + index) % this.cells.length) + 1);
    return numbers.find((number) => BAD.has(this.cells[number - 1].dataset.state)) ?? null;
  }

  /**
   * Move to a cell.
   * @param {number} number - from 1
   */
  select(number) {
    this.cells[this.at - 1]?.setAttribute('aria-selected', 'false');
    this.at = Math.min(Math.max(number, 1), this.cells.length);
    const selected = this.cells[this.at - 1];
    selected.setAttribute('aria-selected', 'true');
    this.root.setAttribute('aria-activedescendant', selected.id);
  }

  clicked(event) {
    const clicked = event.target.closest('[role="option"]');
    if (!clicked) return;
    this.select(this.cells.indexOf(clicked) + 1);
    this.open(this.at);
  }

  pressed(event) {
    const row = this.columns();
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row, PageDown: 5 * row, PageUp: -5 * row };
    if (event.key in steps) this.select(this.at + steps[event.key]);
    else if (event.key === 'Home') this.select(1);
    else if (event.key === 'End') this.select(this.cells.length);
    else if ((event.key === 'Enter' || event.key === ' ') && this.at) this.open(this.at);
    else return;
    event.preventDefault();
    this.cells[this.at - 1]?.scrollIntoView({ block: 'nearest' });
  }

  columns() {
    const top = this.cells[0].offsetTop;
    const next = this.cells.findIndex((each) => each.offsetTop > top);
    return next < 0 ? this.cells.length : next;
  }
}

function cell(id, number) {
  return element('span', {
    id,
    class: 'cell',
    role: 'option',
    'aria-selected': 'false',
    'aria-label': `request ${number}: ${MEANING.waiting}`,
    'data-state': 'waiting',
  });
}

function size(total) {
  if (total <= 60) return 'large';
  return total <= 500 ? 'middle' : 'small';
}
