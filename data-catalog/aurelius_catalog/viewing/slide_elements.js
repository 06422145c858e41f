// HTML elements of the slide viewer.

/**
 * Make an element with a class.
 * @param {string} name @param {string} className
 * @returns {any}
 */
export function make(name, className) {
  return Object.assign(document.createElement(name), { className });
}
