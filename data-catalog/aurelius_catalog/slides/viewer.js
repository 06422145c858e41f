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
    root.append(makeTools(viewer, root), makeScale(viewer, slide));
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
    this.waiting = new Map();
    this.hear = (message, buffers) => this.receive(message, buffers);
    model.on("msg:custom", this.hear);
  }

  makeSource(slide) {
    const source = new OpenSeadragon.TileSource({
      width: slide.width,
      height: slide.height,
      tileWidth: slide.tile_px,
      tileHeight: slide.tile_px,
      tileOverlap: slide.overlap_px,
      minLevel: 0,
      maxLevel: Math.ceil(Math.log2(Math.max(slide.width, slide.height))),
    });
    source.getTileUrl = (level, x, y) => `${this.view}/${level}/${x}_${y}`; // a name, not an address
    source.hasTransparency = () => false;
    source.downloadTileStart = (job) => this.ask(job);
    source.downloadTileAbort = (job) => this.drop(job);
    return source;
  }

  ask(job) {
    const id = `${this.view}-${this.count++}`;
    job.userData.id = id;
    const slow = setTimeout(() => this.say("Waiting for the kernel …"), SLOW_MS);
    this.waiting.set(id, { job, slow });
    const { level, x, y } = job.tile;
    this.model.send({ kind: "tile", id, level, column: x, row: y });
  }

  drop(job) {
    if (this.take(job.userData.id)) this.model.send({ kind: "drop", id: job.userData.id });
  }

  receive(message, buffers) {
    const job = message?.kind === "tile" && this.take(message.id);
    if (!job) return;
    this.say(message.error ?? "");
    if (message.error) job.fail(message.error, null);
    else job.finish(new Blob([buffers[0]], { type: "image/jpeg" }), null, "rasterBlob");
  }

  take(id) {
    const { job, slow } = this.waiting.get(id) ?? {};
    clearTimeout(slow);
    this.waiting.delete(id);
    return job;
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
  const fill = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
  const actions = [
    ["Zoom in", "M9 3v12M3 9h12", () => zoom(2)],
    ["Zoom out", "M3 9h12", () => zoom(0.5)],
    ["Whole slide", "M3 3h12v12H3zM6.5 9h5M9 6.5v5", () => viewer.viewport.goHome()],
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

/** Outlines over the scan; their points are in the unit of the slide's coordinates. */
function drawRegions(viewer, model, slide) {
  const space = "http://www.w3.org/2000/svg";
  const [unitX, unitY] = slide.mpp ?? [1, 1];
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "aurelius-slide-regions");
  const group = svg.appendChild(document.createElementNS(space, "g"));
  viewer.canvas.append(svg);
  const fill = () => {
    const labels = [];
    group.replaceChildren(
      ...model.get("regions").map(({ label, points }) => {
        if (!labels.includes(label)) labels.push(label);
        const shape = document.createElementNS(space, "polygon");
        shape.setAttribute("points", points.map(([x, y]) => `${x / unitX},${y / unitY}`).join(" "));
        shape.setAttribute("stroke", COLOURS[labels.indexOf(label) % COLOURS.length]);
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
  model.on("change:regions", fill);
  viewer.addHandler("destroy", () => model.off("change:regions", fill));
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
