// Every order: goes through all orders of a small program, and shows what lay where and who read whose data.
// Rule: nothing is run or judged here: the document says it. It comes from /orders/PROGRAM.json.

import { element, say } from './dom.js';
import { FIELDS } from './lanes.js';

const GOOD = '✓';
const BAD = '✗';
const EMPTY = '--'; // neither field is set
const SPEED = 1200; // milliseconds that playing stays at an order

const span = (name, ...children) => element('span', { class: name }, ...children);
const heading = (scope, ...children) => element('th', { scope }, ...children);

/**
 * Show the programs in `root`, whose `data-url` is the address that their documents lie under.
 * @param {HTMLElement} root
 */
export function mount(root) {
  const status = element('p', { class: 'orders-status', role: 'status' });
  const body = element('div', { class: 'orders-body' });
  root.append(status, body);
  const documents = new Map();
  let wanted = '';

  async function choose(name) {
    wanted = name;
    body.replaceChildren();
    say(status, 'Running every order…');
    try {
      if (!documents.has(name)) documents.set(name, await load(`${root.dataset.url}${name}.json`));
      if (wanted !== name) return; // another was chosen meanwhile
      say(status, '');
      picture(body, documents.get(name));
    } catch (error) {
      if (wanted !== name) return;
      say(status, `The orders could not be loaded: ${error.message}`);
      body.append(element('button', { type: 'button', onclick: () => choose(name) }, 'Try again'));
    }
  }

  const chosen = () => root.querySelector('input[name="orders-program"]:checked').value;
  root.querySelector('fieldset').addEventListener('change', () => choose(chosen()));
  // Running the orders costs the server a second or two: not before somebody comes near.
  const near = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    near.disconnect();
    if (!wanted) choose(chosen());
  }, { rootMargin: '300px' });
  near.observe(root);
}

async function load(url) {
  const response = await fetch(url, { headers: { Accept: 'application/json' } }).catch(() => {
    throw new Error('the server does not answer.');
  });
  const loaded = await response.json().catch(() => ({ error: `the reply has the status ${response.status}.` }));
  if (!response.ok) throw new Error(loaded.error);
  return loaded;
}

// One program's picture: controls, the order, and the strategies.
function picture(body, whole) {
  const view = controls(whole);
  // Where requests look before they write, the point is what is never released.
  const telling = whole.looks ? 'observed' : 'control';
  const shown = { strategy: whole.strategies.find(({ role }) => role === telling), order: 0 };
  const show = () => {
    // One voice at a time: the slider says its own value, and what is played comes too fast to be said.
    const quiet = view.timer || document.activeElement === view.slider;
    view.sentence.setAttribute('aria-live', quiet ? 'off' : 'polite');
    draw(view, whole, shown);
  };
  const { length } = whole.orders;
  const go = (order) => {
    shown.order = (order + length) % length; // round and round: a button that ends would lose the focus
    show();
  };

  view.slider.addEventListener('input', () => go(Number(view.slider.value)));
  view.previous.addEventListener('click', () => go(shown.order - 1));
  view.next.addEventListener('click', () => go(shown.order + 1));
  view.leak.addEventListener('click', () => go(nextLeak(whole, shown.strategy, shown.order)));
  view.map.addEventListener('click', (event) => {
    if (event.target.dataset.order) go(Number(event.target.dataset.order));
  });
  view.strategies.forEach((button, index) => {
    button.addEventListener('click', () => {
      shown.strategy = whole.strategies[index];
      show();
    });
  });
  player(view, () => go(shown.order + 1));
  body.replaceChildren(...view.all);
  go(nextLeak(whole, shown.strategy, -1));
}

function controls(whole) {
  const { length } = whole.orders;
  const button = (text, name = null) => element('button', { type: 'button', 'aria-label': name }, text);
  const view = {
    claim: element('p', { class: 'orders-claim' }),
    why: element('p', { class: 'small' }),
    label: element('label', { for: 'orders-slider' }),
    slider: element('input', { id: 'orders-slider', type: 'range', min: 0, max: length - 1, step: 1 }),
    map: element('div', { class: 'orders-map', 'aria-hidden': 'true' }),
    previous: button('←', 'Previous order'),
    next: button('→', 'Next order'),
    leak: button('Next that fails'),
    play: button('Play'),
    scroller: element('div', { class: 'orders-scroll', tabindex: 0, role: 'region', 'aria-label': 'The order, step by step' }),
    sentence: element('p', { class: 'orders-sentence' }),
    strategies: whole.strategies.map(() => button('')),
    timer: 0,
  };
  view.map.append(...whole.orders.map((_, order) => element('span', { 'data-order': order })));
  const range = element('div', { class: 'orders-range' }, view.slider, view.map);
  range.style.setProperty('--orders', length);
  view.scroller.style.setProperty('--steps', whole.orders[0].length);
  const legend = element('p', { class: 'small' }, 'One bar an order: a tall one fails, a low one holds.');
  const tools = element('div', { class: 'orders-tools' }, view.previous, view.next, view.leak, view.play);
  const list = element('ul', { class: 'orders-strategies', 'aria-label': 'Strategies' });
  list.append(...view.strategies.map((each) => element('li', {}, each)));
  view.all = [view.claim, view.why, view.label, range, legend, tools, view.scroller, view.sentence, list];
  return view;
}

function player(view, next) {
  const stop = () => {
    clearInterval(view.timer);
    view.timer = 0;
    say(view.play, 'Play');
  };
  view.play.addEventListener('click', () => {
    if (view.timer) return stop();
    say(view.play, 'Pause');
    view.timer = setInterval(() => (view.play.isConnected ? next() : stop()), SPEED);
    return next();
  });
}

// The results of one order, by request.
function resultsOf(whole, strategy, order) {
  const [, numbers] = strategy.runs[order];
  return Object.fromEntries([...whole.requests].map((name, index) => [name, strategy.results[numbers[index]]]));
}

function fails(whole, strategy, order) {
  return Object.values(resultsOf(whole, strategy, order)).some(([, , , judged]) => judged !== 'own');
}

function nextLeak(whole, strategy, from) {
  const { length } = whole.orders;
  for (let ahead = 1; ahead <= length; ahead += 1) {
    const order = (from + ahead + length) % length;
    if (fails(whole, strategy, order)) return order;
  }
  return Math.max(from, 0);
}

function draw(view, whole, { strategy, order }) {
  const { length } = whole.orders;
  const outcome = fails(whole, strategy, order) ? 'fails' : 'holds';
  const place = `Order ${order + 1} of ${length}`;
  view.claim.replaceChildren(element('strong', { class: strategy.fails ? 'bad' : 'good' }, `${strategy.name} ${total(whole, strategy)} orders.`), ` ${strategy.shares}`);
  say(view.why, strategy.summary);
  say(view.label, `${place}: ${[...whole.orders[order]].join(' ')}`);
  view.slider.value = order;
  view.slider.setAttribute('aria-valuetext', `${place}: ${strategy.name} ${outcome}`);
  view.leak.disabled = !strategy.fails;
  [...view.map.children].forEach((bar, index) => {
    bar.className = `${fails(whole, strategy, index) ? 'bad' : 'good'}${index === order ? ' here' : ''}`;
  });
  const steps = stepsOf(whole, strategy, order);
  view.scroller.replaceChildren(table(whole, strategy, place, steps));
  const bad = view.scroller.querySelector('.line.bad');
  if (bad) view.scroller.scrollLeft = bad.closest('td').offsetLeft - view.scroller.clientWidth / 2;
  const told = steps.map((step) => inWords(step, strategy, whole)).join('; ');
  view.sentence.replaceChildren(`Request ${told}. So `, span('nowrap', strategy.name), ` ${outcome} in this order.`);
  view.strategies.forEach((button, index) => drawStrategy(button, whole, whole.strategies[index], strategy, order));
}

const total = ({ orders }, { fails }) => (fails ? `fails in ${fails} of ${orders.length}` : `holds in all ${orders.length}`);

function drawStrategy(button, whole, strategy, chosen, order) {
  const bad = fails(whole, strategy, order);
  button.setAttribute('aria-pressed', strategy === chosen);
  button.className = strategy.fails ? 'bad' : 'good';
  button.replaceChildren(
    span('name', strategy.name),
    ' ',
    span('all', total(whole, strategy)),
    ' ',
    span(bad ? 'here bad' : 'here good', bad ? `${BAD} fails in this order` : `${GOOD} holds in this order`),
  );
}

// Each step of an order: whose it is, what it does, how its read is judged, and what lies where before and after it.
function stepsOf(whole, strategy, order) {
  const taken = {};
  const results = resultsOf(whole, strategy, order);
  const states = strategy.runs[order][0].map((state) => strategy.states[state]);
  return [...whole.orders[order]].map((name, index) => {
    const number = taken[name] ?? 0;
    taken[name] = number + 1;
    const [found, read, judged] = results[name];
    const does = whole.steps[number];
    const before = states[index - 1] ?? strategy.places.map(() => EMPTY);
    return { name, does, read: does === 'read' ? read : null, judged, found: number ? null : found, before, after: states[index] };
  });
}

function table(whole, strategy, place, steps) {
  const row = (name, ...cells) => element('tr', {}, heading('row', ...name), ...cells);
  const head = element('tr', {}, heading('col', 'Step'), ...steps.map((_, index) => heading('col', index + 1)));
  const requests = [...whole.requests].map((name) =>
    row(['request ', chip(name)], ...steps.map((step) => (step.name === name ? doing(step) : element('td', { class: 'waits' })))));
  const places = strategy.places.map((name, index) => row([name], ...steps.map(({ before, after }) => lies(before[index], after[index]))));
  const title = element('tr', {}, element('th', { class: 'title', scope: 'rowgroup', colspan: steps.length + 1 }, element('span', {}, 'What lies where, after each step')));
  return element(
    'table',
    { 'aria-label': `${strategy.name}: ${place}` },
    element('thead', {}, head),
    element('tbody', {}, ...requests),
    element('tbody', {}, title, ...places),
  );
}

function doing(step) {
  const lines = step.found && step.found !== EMPTY ? line('finds', step.found, 'stale') : [];
  if (step.read !== null) lines.push(...line('reads', step.read, step.judged));
  else lines.push(span('line', step.does.replace('write', 'writes'), ' ', chip(step.name)));
  return element('td', {}, ...lines);
}

function line(verb, fields, kind) {
  const good = kind === 'own';
  return [span(`line ${good ? 'good' : 'bad'}`, `${verb} `, ...chips(fields), ' ', span('nowrap', `${good ? GOOD : BAD} ${kind}`))];
}

function lies(before, after) {
  const changed = after !== before;
  if (after === EMPTY) return element('td', { class: 'small' }, changed ? 'emptied' : '');
  return element('td', { class: changed ? null : 'stays' }, ...chips(after));
}

// One chip where both fields have the same, and one for each where they differ.
function chips(fields) {
  return fields[0] === fields[1] ? [chip(fields[0])] : [...fields].map((letter, index) => chip(letter, FIELDS[index]));
}

function chip(letter, title = null) {
  return element('span', { class: `chip chip-${letter === '-' ? 'none' : letter}`, title }, letter === '-' ? '–' : letter);
}

function whose(fields, name) {
  const words = [...fields].map((letter) => (letter === '-' ? 'nothing' : letter === name ? 'its own' : `${letter}'s nonce`));
  return words[0] === words[1] ? words[0] : words.map((word, index) => `${word} in ${FIELDS[index]}`).join(' and ');
}

function inWords(step, strategy, whole) {
  const { name, found, read, judged } = step;
  if (read !== null) return `${name} reads ${whose(read, name)}${judged === 'own' ? '' : ` (${judged})`}`;
  const place = strategy.kept[whole.requests.indexOf(name)];
  const over = [...step.before[place]].find((letter, index) => letter !== '-' && letter !== name && step.after[place][index] !== letter);
  const writes = step.does.replace('write', 'writes');
  if (found === null) return `${name} ${writes}${over ? ` over ${over}'s` : ''}`;
  return `${name} finds ${whose(found, '')}${found === EMPTY ? ' and writes' : ' (stale) and writes over it'}`;
}
