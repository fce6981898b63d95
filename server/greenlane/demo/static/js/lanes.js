// What recorded events mean: when each lane ran, who wrote last to each place, and whose data each read got.
// Rule: nothing is drawn here, and nothing told that the events do not show. Owners are indexes of lanes,
// and -1 for a request that is not among them.

/**
 * What comes from `POST /race`, by greenlane/demo/race/run.py; `number`, of a lane's request, and `sentence`, of a
 * story's words, are put in by race.js.
 * @typedef {{id: number, cell: string, nonce: string, number: number|null, greenlet: string, keeps: string|null, events: EVENT[]}} LANE
 * @typedef {[number, string, ...*]} EVENT - milliseconds, what, of what
 * @typedef {{lanes: number[], checkpoint: number, sentence: string}} STORY
 */

/** The fields that every request writes to. */
export const FIELDS = ['first', 'second'];

/** What tells lanes apart beside colour, reader first. */
export const LETTERS = 'ABC';

/**
 * Name a lane's request.
 * @param {LANE|undefined} lane - undefined: a request that is not among the lanes
 * @returns {string}
 */
export function nameOf(lane) {
  if (!lane) return 'another request';
  return lane.number === null ? 'a request without a cell' : `request ${lane.number}`;
}

// A request within a request runs on the outer one's greenlet, where the switches are recorded, and may share a nonce.
const switches = (lane) => lane.events.some(([, kind]) => kind === 'away');

/**
 * When a lane's greenlet ran.
 * @param {LANE} lane
 * @returns {{from: number, to: number}[]} in milliseconds, in order, apart
 */
export function runs(lane) {
  if (!switches(lane)) return lane.events.map(([at]) => ({ from: at, to: at }));
  const found = [];
  let since = null;
  for (const [at, kind] of lane.events) {
    if (kind === 'away' || kind === 'ended') {
      if (since !== null) found.push({ from: since, to: at });
      since = null;
    } else if (kind === 'back' || kind === 'began') {
      since ??= at;
    } else if (since === null) {
      found.push({ from: at, to: at }); // a step that another greenlet made for it
    }
  }
  if (since !== null) found.push({ from: since, to: lane.events.at(-1)[0] });
  return found;
}

/**
 * Put the events of all lanes in one order, and say of each what it met.
 * @param {LANE[]} lanes
 * @returns {{steps: object[], places: object[]}} steps: `at`, `lane` (index), `kind`, and by kind `times` (of switching
 *   away), `field` and `before` (owner of what it overwrote, null when that was nobody's or is not known),
 *   `emptied` (whether a release is known to have), or `checkpoint`, `error`, `values`, `owners` and `judged`.
 *   places: `name`, and by field the segments `from`, `to`, `owner`, `sure`
 */
export function retell(lanes) {
  const places = new Map();
  for (const { keeps } of lanes) {
    if (keeps !== null) places.set(keeps, { name: keeps, first: [], second: [] });
  }
  const known = lanes.map(switches);
  const runOf = []; // by lane; null while it is away
  let run = 0;
  const wrote = (nonce) => (lane, index) => lane.nonce === nonce && (known[index] || index === 0);
  const ownerOf = (nonce) => (nonce === null ? null : lanes.findIndex(wrote(nonce)));
  const steps = inOneOrder(lanes.map(stepsOf)).map((step) => {
    const { at, lane, kind } = step;
    if (kind === 'began' || kind === 'back' || !known[lane]) runOf[lane] = run += 1;
    const place = places.get(lanes[lane].keeps);
    const seen = { at, run: runOf[lane] };
    // What another greenlet does for it tells nothing of this place.
    const eachField = (act) => place && seen.run !== null && FIELDS.forEach((field) => act(place[field], field));
    if (kind === 'away' || kind === 'ended') eachField((segments) => upTo(segments, seen));
    if (kind === 'away') runOf[lane] = null;
    if (kind === 'released') {
      const full = (segments) => upTo(segments, seen) && segments.at(-1).owner !== null;
      const emptied = Boolean(place) && FIELDS.some((field) => full(place[field]));
      eachField((segments) => look(segments, seen, null, false));
      return { ...step, emptied };
    }
    if (step.field) return { ...step, before: place ? write(place[step.field], seen, lane) : null };
    if (!step.values) return step;
    const owners = Object.fromEntries(Object.entries(step.values).map(([field, nonce]) => [field, ownerOf(nonce)]));
    const there = (segments, field) => look(segments, seen, owners[field], known[owners[field]]);
    if (step.error === null) eachField(there);
    return { ...step, owners, judged: judge(step, Object.values(owners)) };
  });
  return { steps, places: [...places.values()] };
}

// A lane's steps, where each stretch of switching away and back again is one step away and one back.
function stepsOf(lane, index) {
  const steps = [];
  let away = null;
  for (const [at, kind, what, values, error] of lane.events) {
    const step = { at, lane: index, kind };
    if (kind === 'away' && away) away.times += 1;
    if (kind === 'away' && !away) steps.push((away = { ...step, times: 1, back: null }));
    else if (kind === 'back' && away) away.back = step;
    if (kind === 'away' || kind === 'back') continue;
    if (away?.back) steps.push(away.back);
    away = null;
    if (kind === 'began') steps.push({ ...step, checkpoint: 0, values: what, error: null });
    else if (kind === 'read') steps.push({ ...step, checkpoint: what, values, error });
    else steps.push(kind === 'wrote' ? { ...step, field: what } : step);
  }
  return steps;
}

// Of steps at the same moment those of the greenlet that runs come first: all share one native thread.
function inOneOrder(queues) {
  const order = [];
  const next = queues.map(() => 0);
  let running = null;
  for (;;) {
    const heads = queues.map((queue, lane) => queue[next[lane]]).filter(Boolean);
    if (!heads.length) return order;
    const soonest = Math.min(...heads.map((step) => step.at));
    const now = heads.filter((step) => step.at === soonest);
    const step = now.find(({ lane }) => lane === running) ?? now[0];
    order.push(step);
    next[step.lane] += 1;
    running = step.kind === 'away' || step.kind === 'ended' ? null : step.lane;
  }
}

// What was seen stays until the greenlet that saw it switches away: all share one native thread. Whether that is so.
function upTo(segments, { at, run }) {
  const last = segments.at(-1);
  if (!run || last?.run !== run) return false;
  last.to = at;
  return true;
}

// Past that, somebody not shown may have written or released.
function doubt(segments, at) {
  const last = segments.at(-1);
  if (last && last.owner !== null) segments.push({ ...last, from: last.to, to: at, sure: false, run: 0 });
}

function write(segments, seen, owner) {
  const { at, run } = seen;
  const before = upTo(segments, seen) ? segments.at(-1).owner : null;
  if (before === null) doubt(segments, at);
  segments.push({ from: at, to: at, owner, sure: run !== null, run });
  return before;
}

// A read shows what is there. The same nonce was there all the time, when one request alone writes it.
function look(segments, seen, owner, alone) {
  const { at, run } = seen;
  const last = segments.at(-1);
  if (alone && last?.sure && last.owner === owner) {
    Object.assign(last, { to: at, run });
    return;
  }
  if (!upTo(segments, seen)) doubt(segments, at);
  segments.push({ from: at, to: at, owner, sure: true, run });
}

function judge({ lane, kind, error }, owners) {
  const nothing = owners.every((owner) => owner === null);
  if (kind === 'began') return nothing ? 'clean' : 'stale';
  if (error !== null || nothing) return 'missing';
  if (owners.some((owner) => owner !== owners[0])) return 'torn';
  return owners[0] === lane ? 'own' : 'foreign';
}

/**
 * Find the read that a story is about, and what made it wrong.
 * @param {object[]} steps - of `retell`
 * @param {LANE[]} lanes
 * @param {STORY} story
 * @returns {{read: object|undefined, causes: object[], from: number}} `causes`: the writes by others that it got, or
 *   the release that left nothing; `from`: when it became interesting, in milliseconds
 */
export function heart(steps, lanes, story) {
  const at = steps.findIndex((step) => step.lane === 0 && step.checkpoint === story.checkpoint);
  if (at < 0) return { read: undefined, causes: [], from: 0 };
  const read = steps[at];
  const last = (matches) => steps.slice(0, at).findLast(matches);
  const { keeps } = lanes[0];
  const wroteThere = (lane) => lanes[lane]?.keeps === keeps;
  const lastWrite = (lane, field) => wroteThere(lane) && last((step) => step.lane === lane && step.field === field);
  // Who left one field of two empty is told by no story: it may be somebody not shown.
  const release = read.judged === 'missing' && last(({ emptied, lane }) => emptied && lane && wroteThere(lane));
  const cause = (field) => (read.owners[field] === null ? release : lastWrite(read.owners[field], field));
  const wrong = FIELDS.filter((field) => read.owners[field] !== 0);
  const causes = [...new Set(wrong.map(cause).filter(Boolean))];
  const own = FIELDS.map((field) => lastWrite(0, field)).filter(Boolean);
  return { read, causes, from: Math.min(read.at, ...[...own, ...causes].map((step) => step.at)) };
}

/**
 * Whether a step touched data: a write, a read or a release.
 * @param {object} step - of `retell`
 * @returns {boolean}
 */
export function touches(step) {
  return Boolean(step.field || step.owners || step.kind === 'released');
}

/**
 * Say in words what a step did: the rest of a sentence that begins with its request's name.
 * @param {object} step - of `retell`
 * @param {LANE[]} lanes
 * @returns {string}
 */
export function words(step, lanes) {
  const whose = (owner) => `${nameOf(lanes[owner])}'s`;
  if (step.kind === 'away') return step.times > 1 ? `switches away, ${step.times} times in a row` : 'switches away';
  if (step.kind === 'back') return 'is switched back to';
  if (step.kind === 'ended') return 'ends';
  if (step.kind === 'released') return 'releases the place where it wrote';
  if (step.kind === 'wrote') {
    if (step.before === null || step.before === step.lane) return `writes its nonce to ${step.field}`;
    return `overwrites ${step.field}, which was ${whose(step.before)}`;
  }
  const where = step.checkpoint ? `at checkpoint ${step.checkpoint}` : 'before it writes';
  if (step.error) return `gets an error ${where}: ${step.error}`;
  if (step.judged === 'clean') return `looks ${where}, and finds nothing`;
  if (step.judged === 'missing') return `reads nothing ${where}`;
  if (step.judged === 'own') return `reads its own nonce ${where}`;
  const verb = step.checkpoint ? 'reads' : 'finds';
  const owners = new Set(Object.values(step.owners));
  if (owners.size === 1) return `${verb} ${whose(step.owners.first)} nonce ${where}`;
  const of = (owner) => (owner === null ? 'nothing' : owner === step.lane ? 'its own' : whose(owner));
  const fields = (owner) => Object.keys(step.owners).filter((field) => step.owners[field] === owner);
  return `${verb} ${[...owners].map((owner) => `${of(owner)} in ${fields(owner).join(', ')}`).join(' and ')} ${where}`;
}
