// The report's hands: places to look at, repairs to reject, points to put elsewhere, and the table that says so.
// A whole-line comment or an indent is dropped when the script is embedded: no template literal may span lines.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const frame = document.querySelector("iframe");
  const post = (message) => frame && frame.contentWindow.postMessage(message, "*");
  const all = (selector) => [...document.querySelectorAll(selector)];

  function look(at) {
    post({ motionbook: "seek", frame: at });
    frame.scrollIntoView({ block: "center" });
  }
  document.addEventListener("click", (e) => {
    const button = e.target.closest("[data-frame]"), strip = e.target.closest(".when svg");
    if (button) look(Number(button.dataset.frame));
    if (strip) {
      const box = strip.getBoundingClientRect();
      look(Math.floor(((e.clientX - box.left) / box.width) * data.frames));
    }
  });
  for (const e of all(".screen")) e.hidden = false;
  const report = (window.report = { ready: false });
  if (!data.table) return;

  // ---------------------------------------------------------------- the table, as it was written
  let rows = [], column = {}, index = new Map();
  const key = (actor, f, point) => actor + "|" + f + "|" + point;
  function parse(text) {
    const out = [];
    let row = [], cell = "", quoted = false;
    for (let i = 0; i < text.length; i++) {
      const c = text[i];
      if (quoted) {
        if (c !== '"') cell += c;
        else if (text[i + 1] === '"') cell += text[++i];
        else quoted = false;
      } else if (c === '"') quoted = true;
      else if (c === "," || c === "\n") {
        row.push(cell);
        cell = "";
        if (c === "\n") out.push(row), (row = []);
      } else cell += c;
    }
    return out;
  }
  const quote = (cell) => (/[",\r\n]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell);
  const csv = () => rows.map((row) => row.map(quote).join(",") + "\n").join("");
  const get = (row, name) => row[column[name]];
  function set(row, values) {
    for (const [name, v] of Object.entries(values)) if (name in column) row[column[name]] = String(v);
  }
  const axes = [..."xyz"].slice(0, data.dims);
  const place = (row, when) => axes.map((a) => (get(row, when + "_" + a) === "" ? null : Number(get(row, when + "_" + a))));
  const find = (actor, joint, f) => rows[index.get(key(actor, f, data.actors[actor].cells[joint]))];
  const isOff = (row) => get(row, "apply") === "0";

  // ---------------------------------------------------------------- what a person does
  let saved = true;
  const byHand = new Set(), rejected = new Set();

  // Joints that only moved along with this one: they go with it when its repair is rejected.
  function below(actor, joint) {
    const parents = data.actors[actor].parents, out = [joint];
    for (let more = true; more; ) {
      const next = parents.flatMap((p, j) => (out.includes(p) && !out.includes(j) ? [j] : []));
      out.push(...next);
      more = next.length > 0;
    }
    return out;
  }
  function send(actor, joint, touched) {
    if (touched.length) post({ motionbook: "put", actor, joint, frames: touched.map((row) => Number(get(row, "frame"))), values: touched.map((row) => place(row, isOff(row) ? "before" : "after")) });
  }
  function reject(actor, joint, first, last, on) {
    for (const j of below(actor, joint)) {
      const touched = [];
      for (let f = first; f <= last; f++) {
        const row = find(actor, j, f);
        if (row && (j === joint || get(row, "why") === "")) touched.push(row), set(row, { apply: on ? 0 : 1 });
      }
      send(actor, j, touched);
    }
    const name = [actor, joint, first, last].join(" ");
    rejected[on ? "add" : "delete"](name);
    for (const tr of all("tr[data-run]")) {
      if (tr.dataset.run !== name) continue;
      tr.classList.toggle("off", on);
      tr.querySelector("input").checked = on;
    }
    tell();
  }
  // The run of frames around one, as the table has it.
  function run(actor, joint, f) {
    if (!find(actor, joint, f)) return null;
    let first = f, last = f;
    while (find(actor, joint, first - 1)) first--;
    while (find(actor, joint, last + 1)) last++;
    return [first, last];
  }
  function move({ actor, joint, frame: f, value, from }) {
    const cell = data.actors[actor].cells[joint];
    let row = find(actor, joint, f);
    const before = row ? place(row, "after") : from;
    if (!row) {
      row = rows[0].map(() => "");
      set(row, { actor, frame: f, time_s: +(f / data.fps).toFixed(4), point: cell, why: "by hand", unit: data.unit });
      axes.forEach((a, i) => set(row, { ["before_" + a]: +before[i].toPrecision(9) }));
      index.set(key(actor, f, cell), rows.push(row) - 1);
    }
    axes.forEach((a, i) => set(row, { ["after_" + a]: +value[i].toPrecision(9) }));
    set(row, { apply: 1, confidence: 1, after_likelihood: 1, after_pose: "" });
    byHand.add(key(actor, f, cell));
    tell();
  }
  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = data.save;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    saved = true;
  }
  const bar = document.querySelector(".save");
  const some = (n, one, many) => n + " " + (n === 1 ? one : many);
  function tell() {
    saved = false;
    bar.hidden = false;
    const words = [byHand.size && some(byHand.size, "point was", "points were") + " put elsewhere", rejected.size && some(rejected.size, "repair was", "repairs were") + " rejected"];
    bar.querySelector("span").textContent = words.filter(Boolean).join(", ") || "nothing differs from the table as it was";
  }

  window.addEventListener("message", (e) => {
    if (!frame || e.source !== frame.contentWindow || !e.data || !rows.length) return;
    if (e.data.motionbook === "moved") move(e.data);
    if (e.data.motionbook === "reject") {
      const { actor, joint, frame: f } = e.data, found = run(actor, joint, f);
      if (found) reject(actor, joint, ...found, !isOff(find(actor, joint, f)));
    }
  });
  document.addEventListener("change", (e) => {
    const tr = e.target.closest("tr[data-run]");
    if (tr) reject(...tr.dataset.run.split(" ").map(Number), e.target.checked);
  });
  bar.querySelector("button").addEventListener("click", save);
  window.addEventListener("beforeunload", (e) => {
    if (!saved) e.preventDefault();
  });

  async function unpack() {
    const raw = atob(data.table), packed = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) packed[i] = raw.charCodeAt(i);
    rows = parse(await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text());
    column = Object.fromEntries(rows[0].map((name, i) => [name, i]));
    rows.forEach((row, i) => i && index.set(key(get(row, "actor"), get(row, "frame"), get(row, "point")), i));
    for (const e of all(".act")) e.hidden = false;
    Object.assign(report, { ready: true, csv, reject, move, save, byHand, rejected });
  }
  unpack();
})();
