// The column beside the image: the text found in it, and its masks.

import { button, make } from "./elements.js";

/**
 * List the elements beside the image: the text that was found in it, its masks and what can be done with them.
 * @param {any} entry @param {import("./masks.js").Masks} masks
 */
export function drawRail(entry, masks) {
  if (masks.locked) {
    const hint = entry.has_image && "The wheel enlarges, the right button moves the image, 0 shows all of it.";
    return [
      make("p", { class: "au-dim" }, "There is nothing to mask here."),
      make("p", { class: "au-dim" }, hint || ""),
    ];
  }
  const words = [...new Set(entry.words)];
  const found = words.length
    ? make(
        "ul",
        { class: "au-words" },
        words.map((word) => make("li", {}, word)),
      )
    : make("p", { class: "au-dim" }, "No text was read in the image.");
  return [
    make("h3", {}, `Text found${words.length ? ` (${words.length})` : ""}`),
    found,
    make("h3", {}, `Masks (${masks.boxes.length})`),
    make(
      "ul",
      { class: "au-boxes" },
      masks.boxes.map((box, index) => makeBox(masks, box, index)),
    ),
    make(
      "div",
      { class: "au-tools" },
      button("Add a mask", { title: "Key n", click: () => masks.add() }),
      button("As suggested", {
        disabled: !entry.regions?.length,
        click: () => masks.load(entry.regions ?? []),
      }),
    ),
    makeCover(masks),
    make(
      "p",
      { class: "au-dim" },
      "Drag on the image to add a mask, drag a mask to move it; arrow keys move it, with Shift they size it, Delete removes it.",
    ),
    make("p", { class: "au-dim" }, "The wheel enlarges, the right button moves the image, 0 shows all of it."),
  ];
}

function makeBox(masks, [x, y, width, height], index) {
  const chosen = index === masks.selected;
  const name = `${width} × ${height} at ${x}, ${y}`;
  return make(
    "li",
    {},
    button(name, {
      "aria-pressed": String(chosen),
      click: () => {
        masks.select(index);
        masks.element.focus();
      },
    }),
    button("×", { "aria-label": `Remove the mask ${name}`, click: () => masks.remove(index) }),
  );
}

function makeCover(masks) {
  const covered = masks.element.classList.contains("au-covered");
  const box = make("input", { type: "checkbox", checked: covered });
  box.addEventListener("change", () => masks.element.classList.toggle("au-covered", box.checked));
  return make("label", { class: "au-cover" }, box, " Show the masks as they will be: black");
}
