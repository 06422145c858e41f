// An image with the mask boxes over it, which are drawn, moved and resized by pointer or keys.

import { clamp, CORNERS, keepInside, resizeBox, SMALLEST, spanBox } from "./boxes.js";
import { fill, makeShape } from "./elements.js";

const HANDLE_PX = 9;

export class Masks {
  // `changed()` is called whenever boxes or selection change.
  constructor(changed) {
    this.changed = changed;
    /** @type {{ url: string, width: number, height: number } | null} */
    this.picture = null;
    /** @type {number[]} The part in view: left, top, width, height, in pixels of the image. */
    this.view = [0, 0, 0, 0];
    /** @type {import("./boxes.js").Box[]} */
    this.boxes = [];
    this.selected = -1;
    /** @type {any} The drag under way. */
    this.drag = null;
    this.locked = false;
    this.image = makeShape("image", { preserveAspectRatio: "none" });
    this.layer = makeShape("g");
    this.element = makeShape("svg", { class: "au-masks", tabindex: "0", role: "group" }, this.image, this.layer);
    const on = (name, handler, options) => this.element.addEventListener(name, handler.bind(this), options);
    on("pointerdown", this.#press);
    on("pointermove", this.#move);
    on("pointerup", this.#lift);
    on("pointercancel", () => this.cancel());
    on("wheel", this.#zoom, { passive: false });
    on("dblclick", () => this.fit());
    on("contextmenu", (event) => event.preventDefault());
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  load(boxes) {
    this.drag = null;
    this.boxes = boxes.map((box) => [...box]);
    this.select(-1);
  }

  // The picture of another frame keeps the part that is looked at.
  show(picture) {
    const same = this.picture && this.picture.width === picture?.width && this.picture.height === picture?.height;
    if (this.picture) URL.revokeObjectURL(this.picture.url);
    this.picture = picture;
    if (!picture) {
      this.image.removeAttribute("href");
      return this.#draw();
    }
    const { url, width, height } = picture;
    fill(this.image, { href: url, width, height }, []);
    fill(this.element, { "aria-label": `Image, ${width} by ${height} pixels, with the masks over it` }, []);
    if (!same) this.fit();
    else this.#draw();
  }

  fit() {
    if (this.picture) this.#look([0, 0, this.picture.width, this.picture.height]);
  }

  select(index) {
    this.selected = index;
    this.#draw();
    this.changed();
  }

  add() {
    if (!this.picture || this.locked) return;
    const [left, top, width, height] = this.view;
    const box = spanBox(
      [left + width * 0.35, top + height * 0.45],
      [left + width * 0.65, top + height * 0.55],
      this.picture,
    );
    this.boxes.push(box);
    this.select(this.boxes.length - 1);
  }

  remove(index = this.selected) {
    if (index < 0) return;
    this.boxes.splice(index, 1);
    this.select(-1);
  }

  // Moves the selected box by whole pixels, or its lower right corner.
  nudge(right, down, resize) {
    if (this.selected < 0 || !this.picture) return;
    const box = this.boxes[this.selected];
    const [x, y, width, height] = box;
    this.boxes[this.selected] = resize
      ? resizeBox(box, right, down, this.picture)
      : keepInside([x + right, y + down, width, height], this.picture);
    this.select(this.selected);
  }

  cancel() {
    if (!this.drag) return false;
    this.boxes = this.drag.before;
    this.drag = null;
    this.select(-1);
    return true;
  }

  #point(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.element.getScreenCTM().inverse());
    return [point.x, point.y];
  }

  #press(event) {
    if (!this.picture || this.drag) return;
    this.element.setPointerCapture(event.pointerId);
    const from = this.#point(event);
    const before = this.boxes.map((box) => [...box]);
    const { box, corner } = event.target.dataset;
    if (event.button) this.drag = { kind: "pan", from, before };
    else if (this.locked) return;
    else if (corner !== undefined) {
      const [x, y, width, height] = this.boxes[this.selected];
      const [right, down] = CORNERS[corner];
      this.drag = { kind: "span", from: [right ? x : x + width, down ? y : y + height], before };
    } else if (box !== undefined) {
      this.drag = { kind: "move", from, start: this.boxes[box], before };
      this.select(Number(box));
    } else {
      this.drag = { kind: "span", from, before };
      this.selected = -1;
    }
  }

  #move(event) {
    if (!this.drag || !this.picture) return;
    const to = this.#point(event);
    const { kind, from, start } = this.drag;
    if (kind === "pan")
      return this.#look([this.view[0] + from[0] - to[0], this.view[1] + from[1] - to[1], this.view[2], this.view[3]]);
    if (kind === "move") {
      const [x, y, width, height] = start;
      /** @type {import("./boxes.js").Box} */
      const moved = [x + Math.round(to[0] - from[0]), y + Math.round(to[1] - from[1]), width, height];
      this.boxes[this.selected] = keepInside(moved, this.picture);
    } else {
      if (this.selected < 0) this.selected = this.boxes.push([0, 0, 0, 0]) - 1;
      this.boxes[this.selected] = spanBox(from, to, this.picture);
    }
    this.#draw();
  }

  #lift() {
    if (!this.drag) return;
    const { kind } = this.drag;
    this.drag = null;
    const box = this.boxes[this.selected];
    // A click beside all boxes is no box.
    if (kind === "span" && box && Math.min(box[2], box[3]) < SMALLEST) return this.remove();
    this.select(this.selected);
  }

  #zoom(event) {
    if (!this.picture) return;
    event.preventDefault();
    const [x, y] = this.#point(event);
    const [left, top, width, height] = this.view;
    const share =
      clamp(width * (event.deltaY > 0 ? 1.2 : 1 / 1.2), this.picture.width / 20, this.picture.width) / width;
    this.#look([x - (x - left) * share, y - (y - top) * share, width * share, height * share]);
  }

  #look([left, top, width, height]) {
    if (!this.picture) return;
    this.view = [
      clamp(left, 0, this.picture.width - width),
      clamp(top, 0, this.picture.height - height),
      width,
      height,
    ];
    fill(this.element, { viewBox: this.view.join(" ") }, []);
    this.#draw();
  }

  #draw() {
    this.layer.replaceChildren();
    const scale = this.picture && this.element.getScreenCTM()?.a;
    if (!scale) return;
    this.boxes.forEach(([x, y, width, height], index) => {
      const mark = index === this.selected ? "au-mask au-selected" : "au-mask";
      this.layer.append(makeShape("rect", { class: mark, x, y, width, height, "data-box": index }));
    });
    const box = this.boxes[this.selected];
    const size = HANDLE_PX / scale;
    for (const [corner, [right, down]] of box ? CORNERS.entries() : []) {
      const place = {
        x: box[0] + right * box[2] - size / 2,
        y: box[1] + down * box[3] - size / 2,
        width: size,
        height: size,
      };
      this.layer.append(makeShape("rect", { class: "au-handle", "data-corner": corner, ...place }));
    }
  }
}
