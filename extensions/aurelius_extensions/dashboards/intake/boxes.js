// The geometry of mask boxes: [x, y, width, height] in whole pixels of the image.

/** @typedef {[x: number, y: number, width: number, height: number]} Box */
/** @typedef {{ width: number, height: number }} Size The image's size in pixels. */

/** Shortest side of a box, in pixels: anything smaller was a click, not a box. */
export const SMALLEST = 2;
/** The corners of a box as shares of its width and height. */
export const CORNERS = [
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
];

/**
 * Return the value, or the bound that it lies beyond.
 * @param {number} value @param {number} low @param {number} high
 */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/**
 * Return the box between two opposite corners, inside the image. It is rounded outwards, because a pixel that is half
 * covered must be masked.
 * @param {number[]} from @param {number[]} to @param {Size} size
 * @returns {Box}
 */
export function spanBox([x1, y1], [x2, y2], { width, height }) {
  const left = clamp(Math.floor(Math.min(x1, x2)), 0, width);
  const top = clamp(Math.floor(Math.min(y1, y2)), 0, height);
  const right = clamp(Math.ceil(Math.max(x1, x2)), 0, width);
  const bottom = clamp(Math.ceil(Math.max(y1, y2)), 0, height);
  return [left, top, right - left, bottom - top];
}

/**
 * Return the box moved inside the image; its size stays.
 * @param {Box} box @param {Size} size
 * @returns {Box}
 */
export function keepInside([x, y, width, height], size) {
  return [clamp(x, 0, size.width - width), clamp(y, 0, size.height - height), width, height];
}

/**
 * Return the box with its lower right corner moved, inside the image.
 * @param {Box} box @param {number} right @param {number} down @param {Size} size
 * @returns {Box}
 */
export function resizeBox([x, y, width, height], right, down, size) {
  return [x, y, clamp(width + right, SMALLEST, size.width - x), clamp(height + down, SMALLEST, size.height - y)];
}
