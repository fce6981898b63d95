// Every order: goes through all orders of a small program, and shows what lay where and who read whose data.
// Rule: nothing is worked out here that the document does not say. It comes from /orders/PROGRAM.json.

import { count, element, say } from './dom.js';

const MARK = { own: '\u2713', foreign: '\u2717', torn: '\u2717', stale: '\u2717', missing: '\u2717' };
const FIELDS = ['first', 'second'];
const SPEED = 1200; // milliseconds that playing stays at an order

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
    say(status, 'Running every order\u2026');
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
  let response;
  try {
    response = await fetch(url, { headers: { Accept: 'application/json' } });
  } catch {
    throw new Error('the server does not answer.');
  }
  const loaded = await response.json().catch(() => ({ error: `the reply has the status ${response.status}.` }));
  if (!response.ok) throw new Error(loaded.error);
  return loaded;
}

// One program's picture: controls, the order, and the strategies.
function picture(body, whole) {
  const view = controls(whole);
  const shown = { strategy: whole.strategies.find((each) => each.role === 'control'), order: 0 };
  const show = () => draw(view, whole, shown);
  const go = (order) => {
    shown.order = Math.min(Math.max(order, 0), whole.orders.length - 1);
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
  player(view, () => go((shown.order + 1) % whole.orders.length));
  body.replaceChildren(...view.all);
  go(nextLeak(whole, shown.strategy, -1));
}

function controls(whole) {
  const last = whole.orders.length - 1;
  const button = (text, name = null) => element('button', { type: 'button', 'aria-label': name }, text);
  const view = {
    claim: element('p', { class: 'orders-claim' }),
    label: element('label', { for: 'orders-slider' }),
    slider: element('input', { id: 'orders-slider', type: 'range', min: 0, max: last, step: 1 }),
    map: element('div', { class: 'orders-map', 'aria-hidden': 'true' }),
    previous: button('\u2190', 'Previous order'),
    next: button('\u2192', 'Next order'),
    leak: button('Next that fails'),
    play: button('Play'),
    scroller: element('div', { class: 'orders-scroll', tabindex: 0, role: 'region', 'aria-label': 'The order, step by step' }),
    sentence: element('p', { class: 'orders-sentence', 'aria-live': 'polite' }),
    strategies: whole.strategies.map(() => element('button', { type: 'button' })),
  };
  view.map.append(...whole.orders.map((_, order) => element('span', { 'data-order': order })));
  const list = element('ul', { class: 'orders-strategies', 'aria-label': 'Strategies' });
  list.append(...view.strategies.map((each) => element('li', {}, each)));
  const tools = element('div', { class: 'orders-tools' }, view.previous, view.next, view.leak, view.play);
  view.all = [view.claim, view.label, view.slider, view.map, tools, view.scroller, view.sentence, list];
  return view;
}

function player(view, next) {
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    say(view.play, 'Play');
    view.sentence.setAttribute('aria-live', 'polite');
  };
  view.play.addEventListener('click', () => {
    if (timer !== null) return stop();
    say(view.play, 'Pause');
    view.sentence.setAttribute('aria-live', 'off'); // nobody could listen to that
    timer = setInterval(() => (view.play.isConnected ? next() : stop()), SPEED);
    return next();
  });
}

// The results of one order, by request.
function resultsOf(whole, strategy, order) {
  const [, numbers] = strategy.runs[order];
  return Object.fromEntries([...whole.requests].map((name, index) => [name, strategy.results[numbers[index]]]));
}

function fails(whole, strategy, order) {
  return Object.values(resultsOf(whole, strategy, order)).some(([, , judged]) => judged !== 'own');
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
  const steps = stepsOf(whole, strategy, order);
  say(view.claim, '');
  view.claim.append(
    element('strong', {}, strategy.name),
    strategy.fails ? ` fails in ${strategy.fails} of ${count(length, 'order')}. ` : ` holds in all ${count(length, 'order')}. `,
    element('span', {}, strategy.shares),
  );
  view.claim.className = `orders-claim ${strategy.fails ? 'bad' : 'good'}`;
  say(view.label, `Order ${order + 1} of ${length}: ${[...whole.orders[order]].join(' ')}`);
  view.slider.value = order;
  const outcome = fails(whole, strategy, order) ? 'fails' : 'holds';
  view.slider.setAttribute('aria-valuetext', `Order ${order + 1} of ${length}: ${strategy.name} ${outcome}`);
  view.previous.disabled = order === 0;
  view.next.disabled = order === length - 1;
  view.leak.disabled = !strategy.fails;
  [...view.map.children].forEach((cell, index) => {
    cell.className = `${fails(whole, strategy, index) ? 'bad' : 'good'}${index === order ? ' here' : ''}`;
  });
  view.scroller.replaceChildren(table(whole, strategy, order, steps));
  say(view.sentence, sentence(whole, strategy, order, steps));
  view.strategies.forEach((button, index) => drawStrategy(button, whole, whole.strategies[index], strategy, order));
}

function drawStrategy(button, whole, strategy, chosen, order) {
  const bad = fails(whole, strategy, order);
  const { length } = whole.orders;
  button.setAttribute('aria-pressed', strategy === chosen);
  button.className = strategy.fails ? 'bad' : 'good';
  button.replaceChildren(
    element('span', { class: 'name' }, strategy.name),
    element('span', { class: 'all' }, strategy.fails ? `fails in ${strategy.fails} of ${length}` : `holds in all ${length}`),
    element('span', { class: bad ? 'here bad' : 'here good' }, bad ? `${MARK.foreign} fails in this order` : `${MARK.own} holds in this order`),
  );
}

// Each step of an order: whose it is, what it does, and what lies where after it.
function stepsOf(whole, strategy, order) {
  const taken = Object.fromEntries([...whole.requests].map((name) => [name, 0]));
  const results = resultsOf(whole, strategy, order);
  const [after] = strategy.runs[order];
  return [...whole.orders[order]].map((name, index) => {
    const number = taken[name]++;
    const step = whole.steps[number];
    const [found, read, judged] = results[name];
    const before = index ? strategy.states[after[index - 1]] : strategy.places.map(() => '--');
    return { name, step, read: step === 'read' ? read : null, found: number ? null : found, judged, before, state: strategy.states[after[index]] };
  });
}

const kindOf = ({ name, read }) => (read === name.repeat(FIELDS.length) ? 'own' : null);

function table(whole, strategy, order, steps) {
  const head = element('tr', {}, element('th', { scope: 'col' }, 'Step'));
  head.append(...steps.map((_, index) => element('th', { scope: 'col' }, index + 1)));
  const requests = [...whole.requests].map((name) => {
    const row = element('tr', {}, element('th', { scope: 'row' }, 'request ', chip(name)));
    row.append(...steps.map((step) => (step.name === name ? doing(step) : element('td', { class: 'waits' }))));
    return row;
  });
  const places = strategy.places.map((place, index) => {
    const row = element('tr', { class: 'place' }, element('th', { scope: 'row' }, place));
    row.append(...steps.map(({ state, before }) => lies(state[index], before[index])));
    return row;
  });
  const title = element('tr', { class: 'title' }, element('th', { scope: 'colgroup', colspan: steps.length + 1 }, 'What lies where, after each step'));
  return element(
    'table',
    {},
    element('caption', { class: 'orders-hidden' }, `${strategy.name}, order ${order + 1} of ${whole.orders.length}`),
    element('thead', {}, head),
    element('tbody', {}, ...requests),
    element('tbody', {}, title, ...places),
  );
}

function doing(step) {
  const cell = element('td', { class: 'does' });
  if (step.found !== null && step.found !== '--') cell.append(line('finds', step.found, 'stale'));
  if (step.read === null) cell.append(element('span', { class: 'line' }, step.step.replace('write', 'writes'), ' ', chip(step.name)));
  else cell.append(line('reads', step.read, kindOf(step) ?? wrong(step)));
  return cell;
}

// What is wrong with a read, which may be another thing than the worst of its request.
function wrong({ read }) {
  if ([...read].every((letter) => letter === '-')) return 'missing';
  return new Set(read).size > 1 ? 'torn' : 'foreign';
}

function line(verb, fields, kind) {
  return element('span', { class: `line ${kind === 'own' ? 'good' : 'bad'}` }, `${verb} `, ...chips(fields), ` ${MARK[kind]} ${kind}`);
}

function lies(fields, before) {
  const changed = fields !== before;
  if (fields === '--') return element('td', { class: changed ? 'lies changed' : 'lies' }, changed ? 'emptied' : '');
  return element('td', { class: changed ? 'lies changed' : 'lies' }, ...chips(fields));
}

// One chip where both fields have the same, and one for each where they differ.
function chips(fields) {
  return fields[0] === fields[1] ? [chip(fields[0])] : [...fields].map((letter, index) => chip(letter, FIELDS[index]));
}

function chip(letter, title = null) {
  const name = letter === '-' ? 'nothing' : letter;
  return element('span', { class: `chip chip-${name}`, title }, name);
}

const whose = (fields) => [...new Set([...fields].map((letter) => (letter === '-' ? 'nothing' : `${letter}'s nonce`)))].join(' and ');

function sentence(whole, strategy, order, steps) {
  const parts = steps.map((step) => told(step, strategy, whole));
  const bad = Object.entries(resultsOf(whole, strategy, order)).filter(([, [, , judged]]) => judged !== 'own');
  const end = bad.length ? bad.map(([name, [, , judged]]) => `${name} is ${judged}`).join(', ') : 'Each has read its own';
  return `${parts.join('; ')}. ${end}: ${strategy.name} ${bad.length ? 'fails' : 'holds'} in this order.`;
}

function told(step, strategy, whole) {
  const place = strategy.kept[whole.requests.indexOf(step.name)];
  const looked = step.found === null ? '' : step.found === '--' ? ' finds nothing and' : ` finds ${whose(step.found)}, which is stale, and`;
  if (step.read === null) {
    const others = [...step.before[place]].find((letter) => letter !== '-' && letter !== step.name);
    const over = step.found === null && others && step.state[place] !== step.before[place] ? ` over ${others}'s` : '';
    return `${step.name}${looked} ${step.step.replace('write', 'writes')}${over}`;
  }
  const kind = kindOf(step) ?? wrong(step);
  return `${step.name} reads ${kind === 'own' ? 'its own' : `${whose(step.read)} (${kind})`}`;
}
