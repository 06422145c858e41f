// DOM elements. Text is always inserted as text: nothing here writes HTML.

const SVG = "http://www.w3.org/2000/svg";
// A longer list than this would slow the page, and no one reads it.
export const ROWS = 200;

export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function makeShape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Make a button, with the key that presses it.
 * @param {string} words @param {Record<string, any>} attributes @param {string | number | null} [key]
 */
export function button(words, attributes, key = null) {
  return make("button", { type: "button", ...attributes }, key && make("kbd", {}, key), words);
}

export function emptyState(title, words) {
  return make("div", { class: "au-empty" }, make("h2", {}, title), make("p", {}, words));
}
