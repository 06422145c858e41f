// The decisions a steward can take about an object, with the usual reasons and the effect of each.

import { count } from "./formatting.js";

export const FINAL_WORDS = "Your name and the reason go into the audit log: leave the patient's name out of it.";
const IN_CATALOG =
  "It goes back to the intake, is de-identified and comes into the catalog, for everybody who may see its site or project.";
/**
 * Each decision: its key, its name, the usual reasons, and what it will do with a number of masks.
 * @typedef {object} Decision
 * @property {string} key
 * @property {string} words
 * @property {(entry: any) => string[]} presets
 * @property {(boxes: number, entry: any) => string} explain
 */

/** @type {Record<"mask" | "release" | "reject", Decision>} */
export const DECISIONS = {
  mask: {
    key: "m",
    words: "Release with these masks",
    presets: () => ["Identifying text is masked", "Suggestion checked and completed", "Masked to be on the safe side"],
    explain: (boxes, { frames }) =>
      `${count(boxes, "box", "boxes")} ${boxes === 1 ? "is" : "are"} blacked out${frames > 1 ? ` in all ${frames} frames` : ""}; ` +
      `no other pixel changes. ${IN_CATALOG}`,
  },
  release: {
    key: "r",
    words: "Release as it is",
    presets: ({ state, has_image }) => {
      if (state === "flagged") return ["The face is not recognisable", "The project may use faces"];
      if (!has_image) return ["The original was read: it names nobody"];
      return ["No identifying text in the image", "The text found is technical", "The suggestion is a false alarm"];
    },
    explain: (boxes, { state, has_image }) => {
      if (state === "flagged") return "The study is in the catalog and stays there as it is; the flag is taken off.";
      if (!has_image) return `Nobody here has looked into it: whatever it holds comes along. ${IN_CATALOG}`;
      const unused = boxes ? `The ${count(boxes, "mask")} you see ${boxes === 1 ? "is" : "are"} not applied. ` : "";
      return `The pixels stay as they are: whatever text stands in the image comes into the catalog with it. ${unused}${IN_CATALOG}`;
    },
  },
  reject: {
    key: "x",
    words: "Reject",
    presets: () => ["Shows who the patient is and cannot be masked", "Not an image for research", "Sent by mistake"],
    explain: () =>
      "The object does not come into the catalog. The original stays in the identified zone, marked as rejected.",
  },
};

/** List the decisions that an object allows. */
export function listDecisions({ state, has_image }) {
  if (state === "flagged") return ["release"];
  if (state !== "quarantined") return ["reject"];
  return has_image ? ["mask", "release", "reject"] : ["release", "reject"];
}
