// What a timeline can be saved as: a Chrome trace, which Perfetto opens, and an SVG that stands alone.
// Rule: a file needs nothing of the page, and holds no script.

import { svg } from './dom.js';
import { FIELDS, LETTERS, heart, nameOf, retell, runs, touches, words } from './lanes.js';

const REQUESTS = 1; // pid
const PLACES = 2; // pid

/**
 * Tell a story in the Trace Event Format.
 *
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: a thread is a lane, or a field of
 * a place where data is kept; slices of one thread nest or are apart; a flow binds to the slices around its ends.
 * @param {LANE[]} lanes - the reader's first
 * @param {STORY} story
 * @returns {object} its times in microseconds since the race began
 */
export function chromeTrace(lanes, story) {
  const { steps, places } = retell(lanes);
  const slices = lanes.map(slicesOf);
  const named = lanes.flatMap((lane, index) =>
    thread(REQUESTS, index + 1, `${LETTERS[index]} ${nameOf(lane)} (${lane.greenlet})`),
  );
  const kept = places.flatMap((place, index) =>
    FIELDS.map((field, half) => ({
      name: `${place.name}: ${field}`,
      tid: 2 * index + half + 1,
      segments: place[field],
    })),
  );
  const events = [
    ...slices.flatMap((all, lane) => all.map((slice) => ({ ...slice, ...at(lane), args: { nonce: lanes[lane].nonce } }))),
    ...kept.flatMap(({ tid, segments }) => segments.flatMap((segment) => keptSlice(segment, tid, lanes))),
    ...steps.filter(touches).map((step) => instant(step, lanes)),
    ...flows(heart(steps, lanes, story), slices),
  ];
  return {
    traceEvents: [
      process(REQUESTS, `Requests: ${lanes[0].cell}`),
      process(PLACES, 'Where their data is kept'),
      ...named,
      ...kept.flatMap(({ tid, name }) => thread(PLACES, tid, name)),
      ...events.sort((a, b) => a.ts - b.ts || 'Xisf'.indexOf(a.ph) - 'Xisf'.indexOf(b.ph)),
    ],
    displayTimeUnit: 'ms',
    otherData: { story: story.sentence },
  };
}

const micro = (ms) => Math.round(ms * 1000);
const at = (lane) => ({ pid: REQUESTS, tid: lane + 1 });

function process(pid, name) {
  return { ph: 'M', pid, tid: 0, ts: 0, name: 'process_name', args: { name } };
}

function thread(pid, tid, name) {
  const form = { ph: 'M', pid, tid, ts: 0 };
  return [
    { ...form, name: 'thread_name', args: { name } },
    { ...form, name: 'thread_sort_index', args: { sort_index: tid } },
  ];
}

// Runs that the clock cannot tell apart are one, and none has no length: something must lie around a flow's end.
function slicesOf(lane) {
  const slices = [];
  for (const run of runs(lane)) {
    const [ts, end] = [micro(run.from), Math.max(micro(run.to), micro(run.from) + 1)];
    const last = slices.at(-1);
    if (last && ts <= last.ts + last.dur) last.dur = Math.max(last.dur, end - last.ts);
    else slices.push({ ph: 'X', cat: 'lane', name: 'runs', ts, dur: end - ts });
  }
  return slices;
}

function keptSlice({ from, to, owner, sure }, tid, lanes) {
  const [ts, dur] = [micro(from), micro(to) - micro(from)];
  if (owner === null || dur === 0) return [];
  const name = `${LETTERS[owner] ?? 'other'}${sure ? '' : '?'}: of ${nameOf(lanes[owner])}`;
  return [{ ph: 'X', cat: 'kept', name, pid: PLACES, tid, ts, dur, args: {} }];
}

function instant(step, lanes) {
  const { field, values, checkpoint, error, judged } = step;
  const args = values ? { checkpoint, ...values, error, judged } : { field, nonce: lanes[step.lane].nonce };
  return { ph: 'i', s: 't', cat: 'step', name: words(step, lanes), ...at(step.lane), ts: micro(step.at), args };
}

function flows({ read, causes }, slices) {
  const end = (step) => ({ ...at(step.lane), ts: inside(micro(step.at), slices[step.lane]) });
  return causes.flatMap((cause, index) => {
    const form = { cat: 'read', name: cause.field ? `${cause.field} of another request` : 'release', id: index + 1 };
    return [{ ph: 's', ...form, ...end(cause) }, { ph: 'f', bp: 'e', ...form, ...end(read) }];
  });
}

function inside(ts, slices) {
  const slice = slices.findLast((one) => one.ts <= ts);
  return Math.min(ts, slice.ts + slice.dur - 1);
}

/**
 * Write a timeline's picture as a file of its own, in the light colours.
 * @param {SVGElement} drawn - as the timeline drew it, in its page
 * @returns {string}
 */
export function svgText(drawn) {
  const copy = drawn.cloneNode(true);
  const told = drawn.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id));
  const items = told.flatMap((node) => [node, ...node.children]).filter((node) => node.localName !== 'ol');
  const text = items.map((item) => `${[...item.childNodes].map((part) => part.textContent).join(' ')}.`.replace('..', '.'));
  copy.removeAttribute('aria-describedby');
  copy.prepend(svg('title', {}, drawn.getAttribute('aria-label')), svg('desc', {}, text.join(' ')), svg('style', {}, styles()));
  return new XMLSerializer().serializeToString(copy);
}

const SCOPE = '.timeline svg';

// The page's own rules for the picture. Other programs know no custom properties: their light values stand in.
function styles() {
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule.selectorText);
  const values = {};
  for (const { selectorText, style } of rules) {
    if (selectorText !== ':root') continue;
    for (const name of style) if (name.startsWith('--')) values[name] = style.getPropertyValue(name).trim();
  }
  return rules
    .filter((rule) => rule.selectorText.startsWith(SCOPE))
    .map((rule) => rule.cssText.replaceAll(SCOPE, 'svg').replace(/var\((--[\w-]+)\)/g, (_, name) => values[name]))
    .join('\n');
}

/**
 * Let the visitor save a file.
 * @param {string} name
 * @param {string} type - its media type
 * @param {string} text
 */
export function save(name, type, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // once the download has begun
}
