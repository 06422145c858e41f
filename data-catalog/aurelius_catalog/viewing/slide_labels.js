// Labels and outlines over a slide, and the legend that shows or hides them.

import { make } from "./slide_elements.js";

const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"]; // Okabe and Ito, 2008

/** Labels over the scan, each a picture of its own; what the legend hides is left out by the kernel. */
export function drawLayers(viewer, model, slide, tiles) {
  const shown = new Map(); // number of the layer: what of it is hidden, and its picture
  const fill = () => {
    const hidden = model.get("hidden");
    model.get("layers").forEach((layer, number) => {
      const keys = layer.marks.map((mark) => mark.key).filter((key) => hidden.includes(key));
      const known = shown.get(number);
      if (known?.keys.join() === keys.join()) return;
      if (known?.item) viewer.world.removeItem(known.item);
      const now = { keys, item: null };
      shown.set(number, now);
      if (keys.length === layer.marks.length) return;
      const [x, y, width] = layer.place.map((pixels) => pixels / slide.width);
      viewer.addTiledImage({
        tileSource: tiles.makeSource(layer, number),
        x,
        y,
        width,
        success: ({ item }) => {
          if (shown.get(number) === now) now.item = item;
          else viewer.world.removeItem(item); // switched again meanwhile
        },
      });
    });
  };
  model.on("change:hidden", fill);
  viewer.addHandler("destroy", () => model.off("change:hidden", fill));
  viewer.addOnceHandler("open", fill);
}

/** What the colours mean; a tick shows it or not. */
export function makeLegend(viewer, model) {
  const legend = make("details", "aurelius-slide-legend");
  legend.open = true;
  legend.appendChild(make("summary", "")).textContent = "Labels";
  const fill = () => {
    const layers = model.get("layers").map(({ name, marks }) => ({ name, marks }));
    const regions = nameRegions(model).map(([label, colour]) => ({ key: `regions/${label}`, label, colour }));
    if (regions.length) layers.push({ name: "regions", marks: regions });
    legend.hidden = !layers.length;
    legend.replaceChildren(
      legend.firstChild,
      ...layers.map(({ name, marks }) => {
        const group = make("fieldset", "");
        group.appendChild(make("legend", "")).textContent = name;
        group.append(...marks.map((mark) => makeSwitch(model, mark)));
        return group;
      }),
    );
  };
  for (const change of ["change:hidden", "change:regions"]) {
    model.on(change, fill);
    viewer.addHandler("destroy", () => model.off(change, fill));
  }
  fill();
  return legend;
}

function makeSwitch(model, { key, label, colour }) {
  const line = make("label", "");
  const tick = line.appendChild(make("input", ""));
  Object.assign(tick, { type: "checkbox", checked: !model.get("hidden").includes(key) });
  tick.onchange = () => {
    const others = model.get("hidden").filter((each) => each !== key);
    model.set("hidden", tick.checked ? others : [...others, key]);
    model.save_changes();
  };
  line.appendChild(make("i", "")).style.background = colour;
  line.append(label);
  return line;
}

/**
 * List the outlines' names, each with a colour that follows those of the labels.
 * @param {{ get(name: string): any }} model
 * @returns {[name: string, colour: string][]}
 */
export function nameRegions(model) {
  const names = [...new Set(model.get("regions").map(({ label }) => label))];
  const taken = model.get("layers").flatMap(({ marks }) => marks).length;
  return names.map((name, number) => [name, COLOURS[(taken + number) % COLOURS.length]]);
}

/** Outlines over the scan; their points are in the unit of the slide's coordinates. */
export function drawRegions(viewer, model, slide) {
  const space = "http://www.w3.org/2000/svg";
  const [unitX, unitY] = slide.mpp ?? [1, 1];
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "aurelius-slide-regions");
  const group = svg.appendChild(document.createElementNS(space, "g"));
  viewer.canvas.append(svg);
  const fill = () => {
    const colours = new Map(nameRegions(model));
    const hidden = model.get("hidden");
    const regions = model.get("regions").filter(({ label }) => !hidden.includes(`regions/${label}`));
    group.replaceChildren(
      ...regions.map(({ label, points }) => {
        const shape = document.createElementNS(space, "polygon");
        shape.setAttribute("points", points.map(([x, y]) => `${x / unitX},${y / unitY}`).join(" "));
        shape.setAttribute("stroke", colours.get(label) ?? "");
        shape.appendChild(document.createElementNS(space, "title")).textContent = label;
        return shape;
      }),
    );
  };
  const place = () => {
    const item = viewer.world.getItemAt(0);
    if (!item) return;
    const origin = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(0, 0));
    const zoom = item.viewportToImageZoom(viewer.viewport.getZoom(true));
    group.setAttribute("transform", `translate(${origin.x} ${origin.y}) scale(${zoom})`);
  };
  viewer.addHandler("update-viewport", place);
  viewer.addHandler("open", place);
  for (const change of ["change:hidden", "change:regions"]) {
    model.on(change, fill);
    viewer.addHandler("destroy", () => model.off(change, fill));
  }
  fill();
}
