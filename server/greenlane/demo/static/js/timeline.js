// The timeline: the lanes that a bad read concerns, drawn to time from what was recorded, and told in words.
// Rule: what is drawn comes from `lanes.js`; nothing here moves by itself, and all of it works by keyboard.

import { element, svg, say } from './dom.js';
import { FIELDS, LETTERS, heart, nameOf, retell, runs, touches, words } from './lanes.js';
import { chromeTrace, save, svgText } from './trace.js';

const GUTTER = 52; // px, for letters and fields, left of what is to time
const MARGIN = 0.06; // of the time that matters, on either side
const LEVELS = 3; // of labels under a lane
const LEVEL = 19; // px
const SHORTEST = 0.01; // ms: no closer than ten times what the clock tells apart
const DOZEN = 12;

const drawn = new WeakMap();

/**
 * Draw a story into a figure, and show it.
 * @param {HTMLElement} figure - what it held goes
 * @param {LANE[]} lanes - the reader's first
 * @param {STORY} story
 */
export function draw(figure, lanes, story) {
  clear(figure);
  figure.hidden = false; // what is hidden has no width
  drawn.set(figure, new Timeline(figure, lanes, story).observer);
}

/**
 * Empty a figure, and hide it.
 * @param {HTMLElement} figure
 */
export function clear(figure) {
  drawn.get(figure)?.disconnect();
  drawn.delete(figure);
  figure.replaceChildren();
  figure.hidden = true;
}

class Timeline {
  constructor(figure, lanes, story) {
    this.lanes = lanes;
    this.story = story;
    this.told = retell(lanes);
    this.heart = heart(this.told.steps, lanes, story);
    this.all = widened(this.told.steps[0].at, this.told.steps.at(-1).at);
    this.matters = this.heart.read ? widened(this.heart.from, this.heart.read.at) : this.all;
    this.view = this.matters;
    this.keys = {
      ArrowLeft: () => this.move(-0.2),
      ArrowRight: () => this.move(0.2),
      '+': () => this.zoom(0.5),
      '-': () => this.zoom(2),
      Home: () => this.look(this.matters),
      End: () => this.look(this.all),
    };
    this.box = this.makeBox();
    this.shown = element('output', { class: 'shown' });
    figure.classList.add('timeline');
    figure.append(
      element('figcaption', { id: 'timeline-says' }, story.sentence),
      this.box,
      this.makeTools(),
      this.makeList(),
      element('p', { class: 'small' }, LEGEND),
    );
    this.observer = new ResizeObserver(() => this.paint());
    this.observer.observe(this.box);
    this.paint();
  }

  makeTools() {
    const button = (name, onclick) => element('button', { type: 'button', onclick }, name);
    const name = `greenlane-${nameOf(this.lanes[0]).replace(' ', '-')}`;
    const trace = () => JSON.stringify(chromeTrace(this.lanes, this.story));
    return element(
      'div',
      { class: 'tools' },
      button('Save for Perfetto (Chrome trace)', () => save(`${name}.trace.json`, 'application/json', trace())),
      button('Save as SVG', () => save(`${name}.svg`, 'image/svg+xml', svgText(this.box.firstChild))),
      this.shown,
      button('Zoom in', this.keys['+']),
      button('Zoom out', this.keys['-']),
      button('Show all', this.keys.End),
      button('What matters', this.keys.Home),
    );
  }

  makeBox() {
    return element('div', {
      class: 'picture',
      tabindex: 0,
      role: 'region',
      'aria-label': 'Timeline: arrow keys move in time, plus and minus zoom, Home shows what matters, End shows all',
      onkeydown: (event) => {
        if (!this.keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        this.keys[event.key]();
      },
      onpointermove: (event) => {
        if (event.buttons & 1) this.move(-event.movementX / this.plotWidth());
      },
    });
  }

  makeList() {
    const { steps } = this.told;
    const items = steps.map((step) =>
      element(
        'li',
        { class: step === this.heart.read ? 'heart' : null },
        element('span', { class: 'at' }, `${step.at.toFixed(3)} ms`),
        element('b', { class: `lane-${step.lane}` }, LETTERS[step.lane]),
        element('span', {}, `${nameOf(this.lanes[step.lane])} ${words(step, this.lanes)}`),
      ),
    );
    return element(
      'details',
      { open: items.length <= DOZEN },
      element('summary', {}, `The same in words: ${items.length} steps`),
      element('ol', { id: 'timeline-words' }, ...items),
    );
  }

  plotWidth() {
    return Math.max(200, this.box.clientWidth - GUTTER);
  }

  look(view) {
    this.view = view;
    this.paint();
  }

  zoom(factor) {
    const { from, to } = this.view;
    const longest = this.all.to - this.all.from;
    const length = Math.min(longest, Math.max(SHORTEST, (to - from) * factor));
    this.start((from + to - length) / 2, length);
  }

  move(share) {
    const length = this.view.to - this.view.from;
    this.start(this.view.from + share * length, length);
  }

  start(from, length) {
    const earliest = Math.max(this.all.from, Math.min(from, this.all.to - length));
    this.look({ from: earliest, to: earliest + length });
  }

  paint() {
    const { from, to } = this.view;
    this.box.replaceChildren(picture(this, this.plotWidth()));
    say(this.shown, `${(to - from).toPrecision(3)} of ${(this.all.to - this.all.from).toPrecision(3)} ms`);
  }
}

const LEGEND =
  'Thick: its greenlet runs; thin: it is away. Square: a write; open: a release. Circle: a read, and its checkpoint. ' +
  'Between the lanes: whose nonce lies there; dashed: unless others wrote since; empty: nothing, or not known. ' +
  'Times: since the race began.';

function widened(from, to) {
  const more = Math.max(SHORTEST, (to - from) * MARGIN);
  return { from: from - more, to: to + more };
}

function picture({ lanes, told, heart, view }, width) {
  const x = (at) => ((at - view.from) / (view.to - view.from)) * width;
  const rows = arrange(lanes, told.places);
  const height = rows.at(-1).bottom;
  const marked = ticks(view, width).map((tick) => ({ ...tick, x: x(tick.at) }));
  const arrows = heart.causes.map((cause) => arrow(cause, heart.read, rows, x));
  return svg(
    'svg',
    {
      role: 'img',
      'aria-label': `Timeline of ${lanes.map(nameOf).join(' and ')}`,
      'aria-describedby': 'timeline-says timeline-words',
      width: width + GUTTER,
      height: height + 22,
      viewBox: `0 0 ${width + GUTTER} ${height + 22}`,
    },
    svg('defs', {}, ...Object.entries(PATTERNS).map(([name, path]) => pattern(name, path))),
    svg('rect', { class: 'ground', width: '100%', height: '100%' }),
    svg(
      'svg', // an inner one cuts off what is out of view
      { x: GUTTER, width, height, role: 'presentation' },
      ...marked.map((tick) => svg('path', { class: 'rule', d: `M${tick.x} 0V${height}` })),
      ...rows.filter((row) => row.place).map((row) => placeRow(row, x, width)),
      ...arrows,
      ...rows.filter((row) => !row.place).map((row) => laneRow(row, { lanes, told, heart, x, width })),
    ),
    ...rows.flatMap(names),
    axis(marked, width, height),
  );
}

// Of the lanes but the reader's, and of what others wrote.
const PATTERNS = { 1: 'M-1 1l2-2M0 6l6-6M5 7l2-2', 2: 'M3 2v2', other: 'M0 3h3' };

function pattern(id, d) {
  const form = { id: `timeline-${id}`, width: 6, height: 6, patternUnits: 'userSpaceOnUse' };
  return svg('pattern', form, svg('path', { class: 'pattern', d }));
}

// From top to bottom: the reader, the places between it and the others, each lane next to its own.
function arrange(lanes, places) {
  const rows = [];
  const left = new Set(places);
  const add = (row, height) => {
    const top = rows.at(-1)?.bottom ?? 0;
    rows.push({ ...row, top, bottom: top + height });
  };
  lanes.forEach((lane, index) => {
    const place = [...left].find(({ name }) => name === lane.keeps);
    const addPlace = () => {
      if (left.delete(place)) add({ place, name: `kept in ${place.name}` }, 58);
    };
    if (index) addPlace();
    add({ lane: index, name: `${nameOf(lane)} (${lane.greenlet})` }, 36 + LEVELS * LEVEL);
    addPlace();
  });
  return rows;
}

function names({ top, name, place, lane }) {
  const text = (kind, x, y, what) => svg('text', { class: kind, x, y: top + y }, what);
  const side = place
    ? FIELDS.map((field, half) => text('field', GUTTER - 6, 30 + 18 * half, field))
    : [text(`letter lane-${lane}`, GUTTER - 16, 30, LETTERS[lane])];
  return [text('name', 2, 12, name), ...side];
}

function placeRow(row, x, width) {
  const made = svg('g', { 'data-place': row.place.name });
  FIELDS.forEach((field, half) => {
    const y = row.top + 18 + half * 18;
    made.append(svg('rect', { class: 'empty', x: 0, y, width, height: 16 }));
    for (const { from, to, owner, sure } of row.place[field]) {
      const left = Math.max(-2, x(from));
      const long = Math.min(width + 2, x(to)) - left;
      if (owner !== null && long > 0) made.append(segment(owner, sure, left, y, long));
    }
  });
  return made;
}

function segment(owner, sure, left, y, long) {
  const letter = LETTERS[owner] ?? 'other';
  const name = owner < 0 ? 'other' : owner;
  const shape = { x: left, y, width: Math.max(1, long), height: 16 };
  const text = sure ? letter : `${letter}?`;
  const made = svg('g', { class: `segment lane-${name}${sure ? '' : ' unsure'}`, 'data-owner': text });
  made.append(svg('rect', shape));
  if (PATTERNS[name]) made.append(svg('rect', { ...shape, class: 'over', fill: `url(#timeline-${name})` }));
  if (long > 9 + 8 * text.length) made.append(svg('text', { x: left + long / 2, y: y + 12 }, text));
  return made;
}

function laneRow(row, { lanes, told, heart, x, width }) {
  const bar = row.top + 24;
  const made = svg('g', { class: `lane-${row.lane}`, 'data-lane': LETTERS[row.lane] });
  const { events } = lanes[row.lane];
  made.append(svg('path', { class: 'away', d: `M${x(events[0][0])} ${bar}H${x(events.at(-1)[0])}` }));
  for (const { from, to } of merged(runs(lanes[row.lane]), x, width)) {
    made.append(svg('rect', { class: 'runs', x: from, y: bar - 6, width: Math.max(2, to - from), height: 12 }));
  }
  const weight = (step) => (step === heart.read) * 2 + heart.causes.includes(step);
  // From right to left: no leader then crosses a label. What matters has its place first.
  const marks = told.steps
    .filter((step) => step.lane === row.lane && touches(step) && x(step.at) > 0 && x(step.at) < width - 9)
    .sort((a, b) => weight(b) - weight(a) || b.at - a.at);
  const taken = Array.from({ length: LEVELS }, () => []);
  for (const step of marks) {
    const at = x(step.at);
    made.append(mark(step, at, bar, width, taken, step === heart.read));
    if (step === heart.read && heart.causes.length) taken.forEach((boxes) => boxes.push({ from: at - 9, to: at + 9 }));
  }
  return made;
}

// Switches that lie within a pixel of each other are one stretch of running.
function merged(all, x, width) {
  const found = [];
  for (const run of all) {
    const [from, to] = [Math.max(-2, x(run.from)), Math.min(width + 2, x(run.to))];
    if (to < from) continue;
    if (found.length && from - found.at(-1).to < 1) found.at(-1).to = to;
    else found.push({ from, to });
  }
  return found;
}

function label(step, long) {
  if (step.field) return `writes ${step.field}`;
  if (step.kind === 'released') return 'releases';
  if (step.error) return 'error';
  const verb = step.checkpoint ? 'reads' : 'finds';
  const whose = (owner) => (owner === step.lane ? 'its own' : `${LETTERS[owner] ?? 'another'}'s`);
  const { first, second } = step.owners;
  const found = [...new Set([first, second])].filter((owner) => owner !== null);
  if (!found.length) return `${verb} nothing`;
  if (found.length === 1 && (first === second || !step.checkpoint)) return `${verb} ${whose(found[0])} data`;
  const of = (owner) => (owner === null ? 'nothing' : whose(owner));
  if (long) return `${verb} first ${of(first)}, second ${of(second)}`;
  const rest = found.length > 1 ? `and ${of(second)}` : `in ${first === null ? 'second' : 'first'}`;
  return `${verb} ${whose(found[0])} ${rest}`;
}

function mark(step, x, bar, width, taken, isHeart) {
  const text = label(step, isHeart);
  const long = 18 + text.length * 7;
  const back = x + long > width; // the label stands to the left
  const [from, to] = back ? [x - long, x + 9] : [x - 9, x + long];
  const level = taken.findIndex((boxes) => boxes.every((box) => to < box.from || from > box.to));
  // Without room for its label it is a tick, until one zooms in.
  if (level < 0) return svg('path', { class: 'leader', d: `M${x} ${bar - 9}v18` });
  taken[level].push({ from, to });
  const y = bar + 18 + level * LEVEL;
  const made = svg('g', { class: `mark ${isHeart ? 'heart' : ''} ${step.judged ?? step.kind}` });
  made.append(svg('path', { class: 'leader', d: `M${x} ${bar}V${y}` }));
  if (!step.owners) made.append(svg('rect', { x: x - 5, y: y - 5, width: 10, height: 10 }));
  else made.append(svg('circle', { cx: x, cy: y, r: 8 }));
  if (step.checkpoint) made.append(svg('text', { class: 'number', x, y: y + 4 }, step.checkpoint));
  made.append(svg('text', { class: back ? 'back' : null, x: back ? x - 12 : x + 12, y: y + 4 }, text));
  return made;
}

// From what made a read wrong to the read.
function arrow(cause, read, rows, x) {
  const bar = (step) => rows.find(({ lane }) => lane === step.lane).top + 24;
  const [x1, y1, x2, y2] = [x(cause.at), bar(cause), x(read.at), bar(read) + 29];
  const middle = (y1 + y2) / 2;
  return svg(
    'g',
    { class: 'arrow', 'data-from': LETTERS[cause.lane], 'data-field': cause.field },
    svg('path', { d: `M${x1} ${y1 - 7}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2 + 7}` }),
    svg('path', { class: 'head', d: `M${x2} ${y2}l-5 9h10z` }),
  );
}

function ticks(view, width) {
  const rough = ((view.to - view.from) * 90) / width;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let n = Math.max(0, Math.ceil(view.from / step)); n * step <= view.to; n += 1) {
    found.push({ at: n * step, name: (n * step).toFixed(digits) });
  }
  return found;
}

function axis(ticks, width, height) {
  const texts = ticks
    .filter((tick) => tick.x > 4 && tick.x < width - 20)
    .map((tick) => svg('text', { x: GUTTER + tick.x, y: height + 15 }, tick.name));
  return svg('g', { class: 'axis' }, ...texts, svg('text', { class: 'unit', x: 2, y: height + 15 }, 'ms'));
}
