// What an object that waits is called, and why it waits.

import { formatNumber } from "./formatting.js";

const KINDS = {
  CR: "X-ray",
  CT: "CT",
  DOC: "Document",
  DX: "X-ray",
  ES: "Endoscopy",
  MG: "Mammogram",
  MR: "MR",
  NM: "Nuclear medicine",
  OP: "Eye photograph",
  PT: "PET",
  RF: "Fluoroscopy",
  SC: "Screen capture",
  SM: "Slide",
  SR: "Report",
  US: "Ultrasound",
  XA: "Angiogram",
  XC: "Photograph",
};
// Reasons that come as one word.
const REASONS = {
  conflict: "An object with this identifier but other content is already here. Which is right is for the site to say.",
  residue: "An identifying value of this patient was still found in what would have been stored.",
  withdrawn: "The patient withdrew. Nothing of this patient may be stored any more.",
};

export function nameKind(entry) {
  const kind = KINDS[entry.Modality] || shortenClass(entry) || entry.Modality || "Object of unknown kind";
  return entry.frames > 1 ? `${kind}, ${formatNumber(entry.frames)} frames` : kind;
}

export function nameNumber(entry) {
  const id = String(entry.id);
  return id.startsWith("study-") ? id.replace("study-", "study ") : `number ${id}`;
}

export function capitalize(words) {
  return words[0].toUpperCase() + words.slice(1);
}

export function shortenClass(entry) {
  return (entry.SOPClass ?? "").replace(/( Image)? Storage$/, "");
}

export function describePlace(entry) {
  const kind = shortenClass(entry);
  return nameKind(entry).startsWith(kind) ? entry.site : `${entry.site} · ${kind}`;
}

export function explainReason(entry) {
  const reason = entry.reason || REASONS[entry.state] || "";
  return REASONS[reason] ?? (reason || "The intake could not decide by itself.");
}
