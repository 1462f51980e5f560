"use strict";

const MOST_FOUND = 20;
const state = { models: [], model: "", history: [], known: new Map(), found: [], active: -1, turn: 0 };
const at = (id) => document.getElementById(id);

/* A new element; children are texts, which are never read as HTML, or elements. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/* ---- the server ---- */

async function ask(path, question) {
  const headers = at("token").value ? { Authorization: `Bearer ${at("token").value}` } : {};
  const body = question && JSON.stringify(question);
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body });
  if (answer.status === 401) openDoor();
  if (!answer.ok) {
    const text = await answer.text();
    let reason = text;
    try { reason = JSON.parse(text).error; } catch { /* a proxy's own page */ }
    throw new Error(reason);
  }
  return answer;
}

const json = async (...question) => (await ask(...question)).json();
const path = (version) => `/v1/models/${encodeURIComponent(state.model)}/versions/${version}`;

async function lines(what, version) {
  const answer = await ask(`/ui/${what}${path(version)}`);
  return (await answer.text()).split("\n").slice(0, -1);
}

async function predict(version, name, inputs) {
  const question = { signature_name: name, inputs };
  return (await json(`${path(version)}:predict`, question)).outputs;
}

/* What a version takes and knows, asked once. */
async function describe(version) {
  const key = path(version);
  if (!state.known.has(key)) {
    const [about, items, titles] = await Promise.all([
      json(`${key}/metadata`), lines("items", version), lines("titles", version)]);
    const signatures = about.metadata.signature_def.signature_def;
    if (!signatures.recommend) throw new Error(`version ${version} has no signature "recommend"`);
    const length = Number(signatures.recommend.inputs.history.tensor_shape.dim[1].size);
    const titleOf = new Map(items.map((item, row) => [item, titles[row] || ""]));
    const searched = items.map((item, row) => plain(`${titles[row] || ""} ${item}`));
    state.known.set(key, { version, signatures, length, items, titleOf, searched });
  }
  return state.known.get(key);
}

/* ---- finding items ---- */

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

function search(words) {
  const about = state.known.get(path(at("version").value));
  const wanted = plain(words).split(/\s+/).filter(Boolean);
  if (!about || !wanted.length) return [];
  const found = [];
  for (let row = 0; row < about.items.length && found.length < MOST_FOUND; row += 1) {
    if (wanted.every((word) => about.searched[row].includes(word))) found.push(about.items[row]);
  }
  return found;
}

function titleOf(item) {
  const about = state.known.get(path(at("version").value));
  return (about && about.titleOf.get(item)) || item;
}

/* A title with the id behind it, where they differ. */
function named(item) {
  const title = titleOf(item);
  return title === item ? [item] : [title, " ", element("span", { class: "quiet" }, item)];
}

function showFound(items) {
  state.found = items;
  state.active = -1;
  at("found").replaceChildren(...items.map((item, row) => element("li", {
    role: "option", id: `found-${row}`, "aria-selected": "false",
    /* The field keeps the focus. */
    onmousedown: (event) => event.preventDefault(), onclick: () => add(item),
  }, ...named(item))));
  at("found").hidden = !items.length;
  at("search").setAttribute("aria-expanded", String(items.length > 0));
  at("search").removeAttribute("aria-activedescendant");
}

function moveTo(row) {
  const options = [...at("found").children];
  if (!options.length) return;
  state.active = (row + options.length) % options.length;
  options.forEach((option, n) => option.setAttribute("aria-selected", String(n === state.active)));
  options[state.active].scrollIntoView({ block: "nearest" });
  at("search").setAttribute("aria-activedescendant", `found-${state.active}`);
}

function onKey(event) {
  const moves = { ArrowDown: state.active + 1, ArrowUp: Math.max(state.active, 0) - 1 };
  if (event.key in moves && state.found.length) {
    event.preventDefault();
    moveTo(moves[event.key]);
  } else if (event.key === "Escape") {
    showFound([]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    const typed = at("search").value.trim();
    const chosen = state.found[Math.max(state.active, 0)] || typed;
    if (chosen) add(state.active < 0 && state.found.includes(typed) ? typed : chosen);
  }
}

/* ---- the history ---- */

function add(item) {
  state.history.push(item);
  at("search").value = "";
  showFound([]);
  at("search").focus();
  update();
}

function remove(row) {
  state.history.splice(row, 1);
  update();
  const buttons = at("history").querySelectorAll("button");
  (buttons[Math.min(row, buttons.length - 1)] || at("search")).focus();
}

function showHistory() {
  const about = state.known.get(path(at("version").value));
  at("history").replaceChildren(...state.history.map((item, row) => {
    const unknown = about && about.items.length && !about.titleOf.has(item);
    const note = unknown ? [element("span", { class: "quiet" }, ` unknown to version ${about.version}`)] : [];
    const button = element("button", {
      type: "button", "aria-label": `Remove ${titleOf(item)}`, onclick: () => remove(row) }, "×");
    return element("li", {}, ...named(item), ...note, button);
  }));
  at("clear").hidden = !state.history.length;
}

/* The last L items, padded on the left, as the model takes them. */
function padded(length) {
  const recent = state.history.slice(-length);
  return [...Array(length - recent.length).fill(""), ...recent];
}

/* ---- answers ---- */

async function answersOf(version) {
  const about = await describe(version);
  const history = [padded(about.length)];
  const inputs = { history, k: [Number(at("k").value) || 10], exclude: [["", ...state.history]] };
  const [answer, intents] = await Promise.all([
    predict(version, "recommend", inputs),
    about.signatures.intents ? predict(version, "intents", { history }) : null]);
  const items = answer.item_ids[0].filter(Boolean);
  return { about, history, items, answer, intents };
}

function showAnswers(columns) {
  at("answers").className = columns.length > 1 ? "two" : "";
  at("answers").replaceChildren(...columns.map((column, n) => columnOf(column, columns[1 - n])));
  const [first, second] = columns;
  const counts = columns.map(({ about, items }) => `${items.length} answers of version ${about.version}`);
  if (second) counts.push(`${first.items.filter((item) => second.items.includes(item)).length} in common`);
  at("news").textContent = `${state.history.length} in the history; ${counts.join(", ")}.`;
}

function columnOf(column, other) {
  const { about, answer } = column;
  const title = `answers-${about.version}`;
  const fallback = "No item of the history is known to this version: these are the popular items, "
    + "scored by their number of actions.";
  return element("section", { "aria-labelledby": title },
    element("h2", { id: title }, `Version ${about.version}`),
    ...(answer.is_fallback[0] ? [element("p", {}, fallback)] : []),
    element("div", { class: "wide" }, tableOf(column, other)),
    element("h3", {}, "The user's intents"), intentsOf(column));
}

function tableOf(column, other) {
  const { about, items, answer } = column;
  const heads = ["Item", "Score", "Probability", ...(other ? [`In ${other.about.version}`] : []), "Why"];
  const head = heads.map((text) => element("th", { scope: "col", class: numeric(text) }, text));
  const rows = items.map((item, row) => element("tr", {},
    element("th", { scope: "row" }, `${row + 1}. `, ...named(item), " ", element("button", {
      type: "button", "aria-label": `Add ${titleOf(item)} to the history`, onclick: () => add(item) }, "+")),
    element("td", { class: "number" }, answer.scores[0][row].toFixed(3)),
    element("td", { class: "number" }, `${(100 * answer.probabilities[0][row]).toFixed(1)} %`),
    ...(other ? [element("td", { class: "number" }, rankIn(other, item))] : []),
    element("td", {}, about.signatures.explain && !answer.is_fallback[0] ? whyButton(column, item) : "–")));
  return element("table", { "aria-label": `Answers of version ${about.version}` },
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

const numeric = (head) => (["Item", "Why"].includes(head) ? "" : "number");
const rankIn = (column, item) => String(column.items.indexOf(item) + 1 || "–");

function whyButton(column, item) {
  const place = element("div", {});
  const button = element("button", {
    type: "button", "aria-expanded": "false", "aria-label": `Why ${titleOf(item)}`,
    onclick: () => explain(column, item, button, place).catch(report) }, "Why");
  return element("div", {}, button, place);
}

async function explain(column, item, button, place) {
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  if (!open) return place.replaceChildren();
  const found = await predict(column.about.version, "explain", { history: column.history, item: [item] });
  const entries = found.item_ids[0].filter(Boolean).slice(0, 5);
  place.replaceChildren(element("ul", {}, ...entries.map((entry, row) => {
    const effect = found.influences[0][row];
    const change = `${Math.abs(effect).toFixed(3)} ${effect < 0 ? "higher" : "lower"}`;
    return element("li", {}, `without ${titleOf(entry)} the score is ${change}`);
  })));
}

function intentsOf({ about, intents }) {
  if (!intents) return element("p", {}, `Version ${about.version} exports no intents.`);
  if (intents.is_fallback[0]) return element("p", {}, "Without a known item there is none.");
  const rows = intents.intents[0].map((number, row) => element("tr", {},
    element("th", { scope: "row" }, String(number)),
    element("td", { class: "number" }, `${(100 * intents.shares[0][row]).toFixed(1)} %`),
    element("td", {}, intents.item_ids[0][row].filter(Boolean).map(titleOf).join("; "))));
  const heads = ["Intent", "Share", "Likes best"].map((text) => element("th", { scope: "col" }, text));
  return element("div", { class: "wide" },
    element("table", { "aria-label": `Intents by version ${about.version}` },
      element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows.slice(0, 5))));
}

/* ---- the flow ---- */

async function update() {
  state.turn += 1;
  const turn = state.turn;
  const versions = [...new Set([at("version").value, at("beside").value].filter(Boolean))];
  showHistory();
  try {
    const columns = await Promise.all(versions.map(answersOf));
    /* A later question may have been answered first. */
    if (turn !== state.turn) return;
    at("problem").textContent = "";
    showHistory();
    showAnswers(columns);
  } catch (error) {
    if (turn === state.turn) report(error);
  }
}

function report(error) {
  at("problem").textContent = error.message;
}

function openDoor() {
  at("door").hidden = false;
  at("token").focus();
}

function options(select, values, none) {
  const made = values.map((value) => element("option", { value }, value));
  select.replaceChildren(...(none ? [element("option", { value: "" }, none)] : []), ...made);
}

async function chooseModel() {
  state.model = at("model").value;
  const status = await json(`/v1/models/${encodeURIComponent(state.model)}`);
  const available = status.model_version_status.filter((entry) => entry.state === "AVAILABLE");
  options(at("version"), available.map((entry) => entry.version));
  options(at("beside"), available.map((entry) => entry.version), "nothing");
  await update();
}

async function start() {
  at("door").hidden = true;
  options(at("model"), await json("/ui/models"));
  await chooseModel();
}

at("search").addEventListener("input", () => showFound(search(at("search").value)));
at("search").addEventListener("keydown", onKey);
at("search").addEventListener("blur", () => showFound([]));
at("clear").addEventListener("click", () => { state.history = []; at("search").focus(); update(); });
at("model").addEventListener("change", () => chooseModel().catch(report));
for (const name of ["version", "beside", "k"]) at(name).addEventListener("change", update);
for (const name of ["asked", "door"]) at(name).addEventListener("submit", (event) => event.preventDefault());
at("door").addEventListener("submit", () => start().catch(report));
start().catch(report);
