// The live worklist: shows the HTML that the kernel renders, and sends the kernel what the person asks for.
// Rights are checked in the store; nothing here decides anything.

const REFRESH_MS = 30000;
// Images are asked for when the person has come to rest on a row, not for every row passed with a key held down.
const REST_MS = 120;

const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

function render({ model, el }) {
  document.getElementById("first-paint")?.remove();
  el.classList.add("au-worklist");
  const list = el.appendChild(document.createElement("section"));
  list.className = "au-list";
  list.setAttribute("aria-label", "Worklist");
  const pane = el.appendChild(document.createElement("section"));
  pane.className = "au-case";
  pane.setAttribute("aria-label", "Selected case");
  const notice = el.appendChild(document.createElement("p"));
  notice.className = "au-notice";
  notice.setAttribute("role", "alert");

  let resting = 0;
  const rows = () => [...list.querySelectorAll("tr[data-prediction]")];
  const current = () => rows().find((row) => row.getAttribute("aria-selected") === "true");
  const request = (action, prediction, reason = "") =>
    model.send({ do: action, prediction: Number(prediction), reason });

  function drawList() {
    const top = list.querySelector(".au-scroll")?.scrollTop ?? 0;
    const focused = list.contains(document.activeElement);
    list.innerHTML = model.get("list_html");
    list.querySelector(".au-scroll").scrollTop = top;
    if (focused) current()?.focus({ preventScroll: true });
  }
  function drawCase() {
    pane.innerHTML = model.get("case_html");
  }
  function drawNotice() {
    notice.textContent = model.get("notice");
    notice.hidden = !notice.textContent;
  }
  function select(prediction) {
    for (const row of rows()) row.setAttribute("aria-selected", String(row.dataset.prediction === String(prediction)));
    current()?.scrollIntoView({ block: "nearest" });
    clearTimeout(resting);
    resting = setTimeout(() => request("select", prediction), REST_MS);
  }
  function step(by) {
    const all = rows().map((row) => row.dataset.prediction);
    const next = findNext(all, current()?.dataset.prediction, by, model.get("next_up"));
    if (next) select(next);
  }
  function ask(open) {
    const form = pane.querySelector(".au-reason");
    if (!form) return;
    form.hidden = !open;
    if (open) form.elements.reason.focus();
  }
  function accept() {
    const button = pane.querySelector("[data-do=accept]");
    if (!button || button.disabled || !current()) return;
    button.disabled = true;
    request("accept", current().dataset.prediction);
  }

  function onClick(event) {
    const row = event.target.closest("[data-prediction]");
    if (row) {
      event.preventDefault();
      return select(row.dataset.prediction);
    }
    const plane = event.target.closest("[data-plane]");
    if (plane) return model.send({ do: "turn", plane: plane.dataset.plane });
    const button = event.target.closest("[data-do]");
    if (button?.dataset.do === "accept") accept();
    if (button?.dataset.do === "ask") ask(true);
    if (button?.dataset.do === "cancel") ask(false);
  }
  function onSubmit(event) {
    event.preventDefault();
    event.target.querySelector("[type=submit]").disabled = true;
    request("override", current().dataset.prediction, event.target.elements.reason.value);
  }
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return ask(false);
    // Typing stays typing, and the image viewer has keys of its own.
    if (event.target.closest("input, textarea, canvas")) return;
    if (event.key in STEPS) step(STEPS[event.key]);
    else if (event.key === "a") accept();
    else if (event.key === "o") ask(true);
    else if (event.key === "Enter" && event.target.matches("tr[data-prediction]"))
      select(event.target.dataset.prediction);
    else return;
    event.preventDefault();
  }

  el.addEventListener("click", onClick);
  el.addEventListener("submit", onSubmit);
  document.addEventListener("keydown", onKey);
  model.on("change:list_html", drawList);
  model.on("change:case_html", drawCase);
  model.on("change:notice", drawNotice);
  drawList();
  drawCase();
  drawNotice();
  const clock = setInterval(() => document.hidden || request("refresh", 0), REFRESH_MS);
  const first = current() ?? rows()[0];
  if (first) select(first.dataset.prediction);
  return () => {
    clearInterval(clock);
    document.removeEventListener("keydown", onKey);
  };
}

/**
 * Return the prediction one step away in the list. After a decision its row has moved down to the reviewed ones, and
 * the kernel names the one to review next.
 * @param {(string | undefined)[]} all predictions in the order shown
 * @param {string | undefined} current
 * @param {number} by 1 for the next, -1 for the previous one
 * @param {number} nextUp the prediction to review next, 0 for none
 */
export function findNext(all, current, by, nextUp) {
  return by > 0 && all.includes(String(nextUp)) ? String(nextUp) : all[all.indexOf(current) + by];
}

export default { render };
