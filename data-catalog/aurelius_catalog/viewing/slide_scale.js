// The scale bar of a slide and its magnification.

import { make } from "./slide_elements.js";

const MICROMETRE = "µm";
const BAR_PX = 140; // the longest scale bar

/** A bar of round length, in micrometres or millimetres, and the magnification where the slide says its own. */
export function makeScale(viewer, slide) {
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

/** Return the longest of 1, 2 or 5 times a power of ten that is no longer than a number. */
export function roundDown(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  const digit = [5, 2, 1].find((each) => each * power <= number) ?? 1;
  return Number((digit * power).toPrecision(1));
}
