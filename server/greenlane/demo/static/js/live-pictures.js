// The two pictures of the live part, on canvas: five thousand requests must not become five thousand elements.
// Rule: draws what a snapshot says, as of that snapshot. Between two of them nothing is known, and nothing moves.

import { number } from './dom.js';

const HEIGHT = 220;
const FOOT = 20; // px below, for the axis
const HEAD = 3; // px above the first lane, so that its name has room
const GAP = 1_500; // ms: nobody watched in between
const TICKS = ['10 ms', '100 ms', '1 s', '10 s', '100 s']; // ages, from left to right: one decade each
const NAMED = 11; // px of a row that has room for a name

/** What the picture of the history goes back, in milliseconds. */
export const MINUTE = 60_000;

/**
 * Name a class of ages: 10 to 100 ms.
 * @param {Array<Age>} ages - of a snapshot
 * @param {number} index
 * @returns {string}
 * @typedef {[number|null, number]} Age - where the class ends, in milliseconds, and how many are in it
 */
export function ageOf(ages, index) {
  const [end] = ages[index];
  const start = ages[index - 1]?.[0];
  const [unit, ms] = (end ?? start) < 1000 ? ['ms', 1] : ['s', 1000];
  if (start === undefined) return `under ${end / ms} ${unit}`;
  return end === null ? `over ${start / ms} ${unit}` : `${start / ms} to ${end / ms} ${unit}`;
}

/**
 * Give each lane a row of its own for as long as it is in flight, so that bars do not jump.
 * @param {Array<Lane|null>} rows - as they were
 * @param {Array<Lane>} lanes - of the new snapshot
 * @returns {Array<Lane|null>} the lanes by their rows; null where a row is free
 * @typedef {[number, string, number]} Lane - number, name, age in milliseconds
 */
export function settle(rows, lanes) {
  const flying = new Map(lanes.map((lane) => [lane[0], lane]));
  const settled = rows.map((lane) => flying.get(lane?.[0]) ?? null);
  for (const lane of settled) flying.delete(lane?.[0]);
  let free = 0;
  for (const lane of flying.values()) {
    while (settled[free]) free += 1;
    settled[free] = lane;
  }
  while (settled.length && !settled.at(-1)) settled.pop();
  return settled;
}

/**
 * Fit a canvas to its place, sharp on every screen, and read the colours of the style sheet. Not for
 * each picture, but when either changes: it makes the browser lay out the page.
 * @param {HTMLCanvasElement} canvas
 * @returns {{pen: CanvasRenderingContext2D, width: number, height: number, colours: Record<string, string>}}
 */
export function fit(canvas) {
  const width = canvas.clientWidth;
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(HEIGHT * scale);
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  pen.font = '12px system-ui, sans-serif';
  const style = getComputedStyle(canvas);
  const colours = Object.fromEntries(['edge', 'green', 'ink', 'panel', 'soft'].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { pen, width, height: HEIGHT, colours };
}

/**
 * Draw how many were in flight over the last minute.
 * @param {ReturnType<fit>} paper
 * @param {Array<{at: number, value: number}>} history - in order, on the page's clock; the last is now
 */
export function drawHistory({ pen, width, height, colours }, history) {
  pen.clearRect(0, 0, width, height);
  const floor = height - FOOT;
  const now = history.at(-1).at;
  const top = ceiling(Math.max(...history.map(({ value }) => value)));
  const x = (at) => width - 1 - ((now - at) / MINUTE) * (width - 1);
  const y = (value) => floor - (value / top) * (floor - 14);
  pen.strokeStyle = colours.edge;
  pen.fillStyle = colours.soft;
  for (const value of [0, top / 2, top]) rule(pen, 0, y(value), width, y(value));
  label(pen, number(top), 2, y(top) - 4, 'left');
  label(pen, '60 s ago', 0, height - 4, 'left');
  label(pen, '30 s', width / 2, height - 4, 'center');
  label(pen, 'now', width, height - 4, 'right');
  for (const run of runs(history)) area(pen, run, x, y, colours);
}

/** Cut the history where nobody watched. */
function runs(history) {
  const cut = [];
  for (const [index, point] of history.entries()) {
    if (!index || point.at - history[index - 1].at > GAP) cut.push([]);
    cut.at(-1).push(point);
  }
  return cut;
}

function area(pen, run, x, y, colours) {
  pen.beginPath();
  for (const { at, value } of run) pen.lineTo(x(at), y(value));
  pen.strokeStyle = colours.green;
  pen.lineWidth = 2;
  pen.stroke();
  pen.lineTo(x(run.at(-1).at), y(0));
  pen.lineTo(x(run[0].at), y(0));
  pen.globalAlpha = 0.15;
  pen.fillStyle = colours.green;
  pen.fill();
  pen.globalAlpha = 1;
}

/**
 * Draw the requests in flight: each as a bar as long as its age, or how many there are of each age.
 * @param {ReturnType<fit>} paper
 * @param {{lanes: Array<Lane>|null, ages: Array<Age>}} snapshot
 * @param {Array<Lane|null>} rows - as `settle` gives them
 */
export function drawLanes(paper, snapshot, rows) {
  paper.pen.clearRect(0, 0, paper.width, paper.height);
  if (snapshot.lanes) drawEach(paper, rows);
  else drawAges(paper, snapshot.ages);
}

function drawEach({ pen, width, height, colours }, rows) {
  const floor = height - FOOT;
  const x = (age) => Math.min(1, Math.log10(1 + age) / TICKS.length) * (width - 1);
  pen.strokeStyle = colours.edge;
  pen.fillStyle = colours.soft;
  for (const [index, tick] of TICKS.entries()) {
    const at = x(10 ** (index + 1));
    rule(pen, at, 0, at, floor);
    label(pen, tick, at, height - 4, index === TICKS.length - 1 ? 'right' : 'center');
  }
  pen.strokeStyle = colours.panel;
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  const pitch = Math.min(18, (floor - HEAD) / Math.max(1, rows.length));
  const apart = Math.floor(Math.min(3, pitch / 2)); // px between bars
  for (const [row, lane] of rows.entries()) {
    if (!lane) continue;
    pen.fillStyle = colours.green;
    const length = Math.max(3, x(lane[2]));
    const top = HEAD + Math.round(row * pitch); // whole pixels: thin bars would be a blur
    const thick = Math.max(1, HEAD + Math.round((row + 1) * pitch) - top - apart);
    pen.fillRect(0, top, length, thick);
    if (pitch >= NAMED) name(pen, lane[1], length, top + thick / 2, width, colours);
  }
  pen.textBaseline = 'alphabetic';
}

/** Write a name behind its bar or, where there is less room, within it. */
function name(pen, text, length, middle, width, colours) {
  const behind = length < width / 2 || length + 6 + pen.measureText(text).width < width;
  const place = behind ? [length + 6, middle, width - length - 6] : [6, middle, length - 12];
  pen.lineWidth = 3;
  if (behind) pen.strokeText(text, ...place); // takes the axis' lines out from under it
  pen.fillStyle = behind ? colours.ink : colours.panel;
  pen.fillText(text, ...place);
}

function drawAges({ pen, width, height, colours }, ages) {
  const most = Math.max(...ages.map(([, count]) => count), 1);
  const pitch = (height - 4) / ages.length;
  const left = 92;
  const room = width - left - 56;
  pen.textBaseline = 'middle';
  for (const [index, [, count]] of ages.entries()) {
    const middle = pitch * (index + 0.5);
    pen.fillStyle = colours.soft;
    label(pen, ageOf(ages, index), 0, middle, 'left');
    pen.fillStyle = colours.green;
    const length = (count / most) * room;
    pen.fillRect(left, middle - pitch / 3, count ? Math.max(2, length) : 0, pitch / 1.5);
    pen.fillStyle = colours.ink;
    label(pen, number(count), left + length + 6, middle, 'left');
  }
  pen.textBaseline = 'alphabetic';
}

/** The next round number: 10, 20, 50, 100, ... */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(10, value)));
  return [1, 2, 5, 10].map((step) => step * power).find((round) => round >= value);
}

function rule(pen, fromX, fromY, toX, toY) {
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(Math.round(fromX) + 0.5, Math.round(fromY) + 0.5);
  pen.lineTo(Math.round(toX) + 0.5, Math.round(toY) + 0.5);
  pen.stroke();
}

function label(pen, text, x, y, align) {
  pen.textAlign = align;
  pen.fillText(text, x, y);
}
