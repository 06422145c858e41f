// Numbers, sizes and times as people read them.

export function count(number, one, many = `${one}s`) {
  return `${formatNumber(number)} ${number === 1 ? one : many}`;
}

export function formatNumber(number) {
  return Number(number ?? 0).toLocaleString("en");
}

export function formatBytes(bytes) {
  const gigabytes = Number(bytes) / 1e9;
  if (gigabytes >= 1000) return `${(gigabytes / 1000).toFixed(1)} TB`;
  return gigabytes >= 10 ? `${gigabytes.toFixed(0)} GB` : `${gigabytes.toFixed(1)} GB`;
}

export function formatMoment(text) {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) return "";
  const part = (number) => String(number).padStart(2, "0");
  const day = `${moment.getFullYear()}-${part(moment.getMonth() + 1)}-${part(moment.getDate())}`;
  return `${day} ${part(moment.getHours())}:${part(moment.getMinutes())}`;
}

export function formatAge(text) {
  const seconds = Math.max(0, (Date.now() - new Date(text).getTime()) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (seconds < 10) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}
