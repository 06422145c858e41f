// The slide viewer of notebooks and dashboards. `OpenSeadragon` is a global: the kernel sends its source before the bundle.

import { make } from "./slide_elements.js";
import { drawLayers, drawRegions, makeLegend } from "./slide_labels.js";
import { makeScale } from "./slide_scale.js";
import { Tiles } from "./slide_tiles.js";

const PATIENCE_MS = 600_000; // a kernel answers once the cell it runs is done

function render({ model, el }) {
  const slide = model.get("slide");
  const root = make("div", "aurelius-slide");
  root.style.height = `${model.get("height_px")}px`;
  root.dataset.lmSuppressShortcuts = "true"; // keys move the slide here, not the cells of the notebook
  const canvas = root.appendChild(make("div", "aurelius-slide-canvas"));
  const note = root.appendChild(make("div", "aurelius-slide-note"));
  note.setAttribute("role", "status");
  el.append(root);

  /** @type {any} */
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
    reportVisible(viewer, model, slide);
  });
  sized.observe(root);
  return () => {
    sized.disconnect();
    tiles.close();
    viewer?.destroy();
  };
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

/** Send the kernel the part in view, once it stops moving. */
function reportVisible(viewer, model, slide) {
  const [unitX, unitY] = slide.mpp ?? [1, 1];
  const report = () => {
    const item = viewer.world.getItemAt(0);
    if (!item) return;
    const { x, y, width, height } = item.viewportToImageRectangle(viewer.viewport.getBounds(true));
    model.set("visible", [x * unitX, y * unitY, width * unitX, height * unitY]);
    model.save_changes();
  };
  viewer.addHandler("animation-finish", report);
  viewer.addHandler("open", report);
}

export default { render };
