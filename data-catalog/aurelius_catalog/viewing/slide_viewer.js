// A slide in a notebook or a dashboard: OpenSeadragon asks for tiles, the kernel sends them; nothing is fetched.
// `OpenSeadragon` is in scope: the kernel sends this file behind its source.

const MICROMETRE = "µm";
const SLOW_MS = 3000; // then people are told what they wait for
const PATIENCE_MS = 600_000; // a kernel answers once the cell it runs is done
const BAR_PX = 140; // the longest scale bar
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"]; // Okabe and Ito, 2008

function render({ model, el }) {
  const slide = model.get("slide");
  const root = make("div", "aurelius-slide");
  root.style.height = `${model.get("height_px")}px`;
  root.dataset.lmSuppressShortcuts = "true"; // keys move the slide here, not the cells of the notebook
  const canvas = root.appendChild(make("div", "aurelius-slide-canvas"));
  const note = root.appendChild(make("div", "aurelius-slide-note"));
  note.setAttribute("role", "status");
  el.append(root);

  let viewer = null;
  const tiles = new Tiles(model, (text) => {
    note.textContent = text;
    note.hidden = !text;
  });
  note.hidden = true;
  const sized = new ResizeObserver(() => {
    if (viewer || !root.clientWidth) return; // it is not in the page yet
    sized.disconnect();
    viewer = open(canvas, tiles.makeSource(slide));
    root.append(makeTools(viewer, root), makeScale(viewer, slide), makeLegend(viewer, model));
    drawLayers(viewer, model, slide, tiles);
    drawRegions(viewer, model, slide);
    tellWhere(viewer, model, slide);
  });
  sized.observe(root);
  return () => {
    sized.disconnect();
    tiles.close();
    viewer?.destroy();
  };
}

/** The tiles one view waits for. */
class Tiles {
  constructor(model, say) {
    this.model = model;
    this.say = say;
    this.view = Math.random().toString(36).slice(2); // one widget may be shown in several places
    this.count = 0;
    this.sources = 0;
    this.waiting = new Map();
    this.hear = (message, buffers) => this.receive(message, buffers);
    model.on("msg:custom", this.hear);
  }

  /** Tiles of the slide, or of the layer with a number over it. */
  makeSource({ width, height, tile_px, overlap_px = 0 }, layer = null) {
    const source = new OpenSeadragon.TileSource({
      width,
      height,
      tileWidth: tile_px,
      tileHeight: tile_px,
      tileOverlap: overlap_px,
      minLevel: 0,
      maxLevel: Math.ceil(Math.log2(Math.max(width, height))),
    });
    const name = `${this.view}-${this.sources++}`; // what was asked for with other things hidden is not taken for this
    source.getTileUrl = (level, x, y) => `${name}/${level}/${x}_${y}`; // a name, not an address
    source.hasTransparency = () => layer !== null;
    source.downloadTileStart = (job) => this.ask(job, layer);
    source.downloadTileAbort = (job) => this.drop(job);
    return source;
  }

  ask(job, layer) {
    const id = `${this.view}-${this.count++}`;
    job.userData.id = id;
    const slow = setTimeout(() => this.say("Waiting for the kernel …"), SLOW_MS);
    this.waiting.set(id, { job, slow, type: layer === null ? "image/jpeg" : "image/png" });
    const { level, x, y } = job.tile;
    this.model.send({ kind: "tile", id, layer, level, column: x, row: y });
  }

  drop(job) {
    if (this.take(job.userData.id)) this.model.send({ kind: "drop", id: job.userData.id });
  }

  receive(message, buffers) {
    const { job, type } = (message?.kind === "tile" && this.take(message.id)) || {};
    if (!job) return;
    this.say(message.error ?? "");
    if (message.error) job.fail(message.error, null);
    else job.finish(new Blob([buffers[0]], { type }), null, "rasterBlob");
  }

  take(id) {
    const asked = this.waiting.get(id);
    clearTimeout(asked?.slow);
    this.waiting.delete(id);
    return asked;
  }

  close() {
    this.model.off("msg:custom", this.hear);
    for (const id of [...this.waiting.keys()]) this.take(id);
  }
}

function open(element, source) {
  return OpenSeadragon({
    element,
    tileSources: source,
    drawer: "canvas", // a page may hold a few WebGL contexts only, and a notebook many slides
    showNavigationControl: false, // its buttons are pictures from a server; ours are below
    showNavigator: true,
    navigatorPosition: "BOTTOM_RIGHT",
    navigatorSizeRatio: 0.18,
    navigatorAutoFade: false,
    navigatorBackground: "#fff",
    navigatorBorderColor: "#999",
    navigatorOpacity: 0.95,
    maxZoomPixelRatio: 4,
    animationTime: 0.4,
    timeout: PATIENCE_MS,
    imageLoaderLimit: 8,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  });
}

function makeTools(viewer, root) {
  const tools = make("div", "aurelius-slide-tools");
  const zoom = (by) => viewer.viewport.zoomBy(by).applyConstraints();
  const home = () => viewer.viewport.fitBounds(viewer.world.getItemAt(0).getBounds()); // labels may reach beyond it
  const fill = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
  const actions = [
    ["Zoom in", "M9 3v12M3 9h12", () => zoom(2)],
    ["Zoom out", "M3 9h12", () => zoom(0.5)],
    ["Whole slide", "M3 3h12v12H3zM6.5 9h5M9 6.5v5", home],
    ["Full screen", "M3 7V3h4M11 3h4v4M15 11v4h-4M7 15H3v-4", fill],
  ];
  for (const [title, path, act] of actions) {
    const button = tools.appendChild(make("button", ""));
    Object.assign(button, { type: "button", title, onclick: act });
    button.setAttribute("aria-label", title);
    button.innerHTML = `<svg viewBox="0 0 18 18" aria-hidden="true"><path d="${path}"/></svg>`;
  }
  return tools;
}

/** A bar of round length, in micrometres or millimetres, and the magnification where the slide says its own. */
function makeScale(viewer, slide) {
  const scale = make("div", "aurelius-slide-scale");
  const bar = scale.appendChild(make("div", "aurelius-slide-bar"));
  const text = scale.appendChild(make("span", ""));
  const draw = () => {
    const zoom = viewer.viewport?.viewportToImageZoom(viewer.viewport.getZoom(true)); // screen pixels per pixel of level 0
    if (!zoom) return;
    const words = [];
    if (slide.mpp) {
      const length = roundDown((BAR_PX * slide.mpp[0]) / zoom);
      bar.style.width = `${(length * zoom) / slide.mpp[0]}px`;
      words.push(length >= 1000 ? `${length / 1000} mm` : `${length} ${MICROMETRE}`);
    }
    if (slide.power) words.push(`${Number((slide.power * zoom).toPrecision(2))}×`);
    text.textContent = words.join(" · ");
    bar.hidden = !slide.mpp;
    scale.hidden = !words.length;
  };
  viewer.addHandler("update-viewport", draw);
  viewer.addHandler("open", draw);
  return scale;
}

function roundDown(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  const digit = [5, 2, 1].find((each) => each * power <= number) ?? 1;
  return Number((digit * power).toPrecision(1));
}

/** Labels over the scan, each a picture of its own; what the legend hides is left out by the kernel. */
function drawLayers(viewer, model, slide, tiles) {
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
function makeLegend(viewer, model) {
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

/** Names of the outlines, each with a colour that follows those of the labels. */
function nameRegions(model) {
  const names = [...new Set(model.get("regions").map(({ label }) => label))];
  const taken = model.get("layers").flatMap(({ marks }) => marks).length;
  return names.map((name, number) => [name, COLOURS[(taken + number) % COLOURS.length]]);
}

/** Outlines over the scan; their points are in the unit of the slide's coordinates. */
function drawRegions(viewer, model, slide) {
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
        shape.setAttribute("stroke", colours.get(label));
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

/** Tells the kernel which part people look at, once they stop moving. */
function tellWhere(viewer, model, slide) {
  const [unitX, unitY] = slide.mpp ?? [1, 1];
  const tell = () => {
    const item = viewer.world.getItemAt(0);
    if (!item) return;
    const { x, y, width, height } = item.viewportToImageRectangle(viewer.viewport.getBounds(true));
    model.set("visible", [x * unitX, y * unitY, width * unitX, height * unitY]);
    model.save_changes();
  };
  viewer.addHandler("animation-finish", tell);
  viewer.addHandler("open", tell);
}

function make(name, className) {
  return Object.assign(document.createElement(name), { className });
}

export default { render };
