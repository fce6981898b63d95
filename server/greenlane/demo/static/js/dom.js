// Small helpers to make and change the page's elements. Text goes in as text, never as markup:
// nonces and messages come over the network.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Make an HTML element.
 * @param {string} tag
 * @param {Record<string, unknown>} attributes - `on...` is a listener, true an empty attribute, false and null none
 * @param {...(Node|string|number)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Record<string, unknown>} attributes - as of `element`
 * @param {...(Node|string|number)} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/**
 * Set an element's text, unless it has it: a screen reader need not read it again.
 * @param {Element} node
 * @param {string|number} text
 */
export function say(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

const numbers = new Intl.NumberFormat('en');

/**
 * Write a number as people do: 12,345.
 * @param {number} value
 * @returns {string}
 */
export function number(value) {
  return numbers.format(value);
}

/**
 * Write a count with its noun: 1 request, 2 requests.
 * @param {number} value
 * @param {string} noun
 * @returns {string}
 */
export function count(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? '' : 's'}`;
}
