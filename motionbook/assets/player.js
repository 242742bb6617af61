// The motionbook player: skeletons on a canvas, without libraries. One document holds one player.
// A whole-line comment or an indent is dropped when the script is embedded: no template literal may span lines.
(() => {
  "use strict";
  const spec = JSON.parse(document.getElementById("motionbook-data").textContent);
  const root = document.getElementById("motionbook");
  const flat = spec.dim === 2;
  const embedded = window !== window.parent;
  const clamp = (x, lo, hi) => Math.min(hi, Math.max(lo, x));

  // ---------------------------------------------------------------- data
  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }

  // Positions [frame joint coordinate]; the smallest integer marks a missing number.
  function positions(layer) {
    const b = bytes(layer.data), c = spec.dim;
    if (layer.type === "f4") return new Float32Array(b.buffer);
    const q = new Int16Array(b.buffer), out = new Float32Array(q.length);
    for (let i = 0; i < q.length; i++) out[i] = q[i] === -32768 ? NaN : q[i] * layer.scale[i % c] + layer.offset[i % c];
    return out;
  }

  // The usual length of each edge, from a few frames: how thick a bone may be drawn.
  function lengths(layer) {
    const { x, n, joints } = layer, c = spec.dim, J = joints.length;
    return layer.edges.map(([a, b]) => {
      const d = [];
      for (let k = 0; k < 15; k++) {
        const f = Math.floor((k * (n - 1)) / 14) * J;
        let s = 0;
        for (let i = 0; i < c; i++) s += (x[(f + a) * c + i] - x[(f + b) * c + i]) ** 2;
        if (s === s) d.push(Math.sqrt(s));
      }
      return d.length ? d.sort((p, q) => p - q)[d.length >> 1] : 0;
    });
  }

  const layers = spec.layers.map((s) => {
    const layer = { ...s, n: s.frames, shown: true, x: positions(s), flagged: s.flags ? bytes(s.flags) : null };
    layer.bone = lengths(layer);
    layer.dots = new Float32Array(3 * s.joints.length);
    return layer;
  });
  const frames = spec.frames, fps = spec.fps, duration = frames / fps;

  // The frame of a layer that belongs to a frame of the player, -1 outside the layer's time.
  const frameOf = (layer, i) => {
    const k = layer.fps === fps ? i : Math.round((i / fps) * layer.fps);
    return k < layer.n ? k : -1;
  };
  const isFlagged = (layer, k) => layer.flagged && (layer.flagged[k >> 3] >> (7 - (k & 7))) & 1;

  // Where the figures are in each frame: the median point, carried over gaps and smoothed over half a second.
  let track = null;
  function centres() {
    if (track) return track;
    const c = spec.dim, raw = new Float32Array(frames * c);
    for (let i = 0; i < frames; i++) {
      for (let a = 0; a < c; a++) {
        const v = [];
        for (const l of layers) {
          const k = frameOf(l, i), J = l.joints.length;
          for (let j = 0; k >= 0 && j < J; j++) {
            const p = l.x[(k * J + j) * c + a];
            if (p === p) v.push(p);
          }
        }
        raw[i * c + a] = v.length ? v.sort((p, q) => p - q)[v.length >> 1] : i ? raw[(i - 1) * c + a] : spec.center[a];
      }
    }
    const w = Math.round(fps / 4), sum = new Float64Array((frames + 1) * c);
    for (let i = 0; i < frames * c; i++) sum[i + c] = sum[i] + raw[i];
    track = new Float32Array(frames * c);
    for (let i = 0; i < frames; i++) {
      const lo = Math.max(0, i - w), hi = Math.min(frames, i + w + 1);
      for (let a = 0; a < c; a++) track[i * c + a] = (sum[hi * c + a] - sum[lo * c + a]) / (hi - lo);
    }
    return track;
  }

  // ---------------------------------------------------------------- the video under the tracks
  // While it plays, it is the clock; else it stands in the middle of the frame that is shown.
  let film = null;
  const filmRate = () => (rate * fps * spec.step) / spec.video.fps;
  const filmTime = (i) => (i * spec.step + spec.first + 0.5) / spec.video.fps;
  const filmReady = () => film && film.readyState >= 2 && !film.error;
  if (spec.video) {
    film = document.createElement("video");
    film.muted = film.playsInline = true;
    film.preload = "auto";
    for (const name of ["loadeddata", "seeked"]) film.addEventListener(name, () => ask());
    film.addEventListener("loadedmetadata", () => seek(at));
    film.addEventListener("error", () => {
      spec.remarks.push("the video cannot be shown: " + spec.video.name);
      ask();
    });
    film.src = spec.video.src;
  }

  // ---------------------------------------------------------------- page
  function el(tag, props, ...children) {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(props || {})) k in e ? (e[k] = v) : e.setAttribute(k, v);
    e.append(...children);
    return e;
  }
  function icon(d) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
    return svg;
  }
  const ICON = {
    play: "M8 5v14l11-7z",
    pause: "M7 5h3v14H7zM14 5h3v14h-3z",
    loop: "M17 2l4 4-4 4M3 11V9a3 3 0 0 1 3-3h15M7 22l-4-4 4-4M21 13v2a3 3 0 0 1-3 3H3",
    follow: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v4M12 18v4M2 12h4M18 12h4",
    trail: "M3 18c4 0 3-9 8-9s3 6 7 6M20 15m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
    reset: "M4 12a8 8 0 1 0 2.6-5.9M4 4v5h5",
    full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
    next: "M5 5l9 7-9 7zM18 5v14",
    edit: "M4 20l1-5L16 4l4 4L9 19zM13 7l4 4",
    help: "M9.2 9a3 3 0 1 1 4.2 2.8c-.9.4-1.4 1-1.4 2.2M12 17.5v.01M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20",
  };
  function button(name, label, act, pressed) {
    const b = el("button", { type: "button", title: label, onclick: act }, icon(ICON[name]));
    b.setAttribute("aria-label", label);
    if (pressed !== undefined) b.setAttribute("aria-pressed", pressed);
    return b;
  }

  const canvas = el("canvas", { tabIndex: 0 });
  canvas.setAttribute("role", "img");
  const about = layers.map((l) => l.label).join(", ");
  canvas.setAttribute("aria-label", (flat ? "2-D" : "3-D") + " view of " + about + ". " + (flat ? "Drag to move" : "Drag to orbit") + ", wheel to zoom.");
  const ctx = canvas.getContext("2d");
  const legend = el("ul", { className: "legend" });
  legend.setAttribute("aria-label", "Skeletons");
  const foot = el("div", { className: "foot" }), tip = el("div", { className: "tip", hidden: true });
  const help = el("div", { className: "help", hidden: true });
  const top = el("div", { className: "top" }, legend);
  if (spec.title) top.prepend(el("div", { className: "title" }, spec.title));
  const stage = el("div", { className: "stage" }, canvas, top, foot, tip, help);
  const play = button("play", "Play (space)", () => toggle());
  play.className = "play";
  const range = el("input", { type: "range", min: 0, max: frames - 1, step: 1, value: 0 });
  range.setAttribute("aria-label", "Frame");
  const strip = el("canvas");
  const time = el("div", { className: "time" });
  const speed = el("select", { className: "speed", title: "Speed" });
  speed.setAttribute("aria-label", "Speed");
  for (const s of [0.1, 0.25, 0.5, 1, 2, 4]) speed.append(el("option", { value: s, selected: s === spec.speed }, s + "×"));
  const loop = button("loop", "Loop (L)", () => press("loop"), true);
  const follow = button("follow", "Follow the figures (F)", () => press("follow"), spec.follow);
  const trail = button("trail", "Trail of the last second (T)", () => press("trail"), false);
  const reset = button("reset", "Reset the view (R)", () => home());
  const next = button("next", "Next suspicious place (N; P: the one before)", () => go(1));
  const edit = button("edit", "Drag points (E)", () => press("edit"), false);
  const info = button("help", "Help (?)", () => press("help"), false);
  const full = button("full", "Full screen", () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()));
  full.className = "full";
  full.hidden = !document.fullscreenEnabled;
  const bar = el("div", { className: "bar" }, play, el("div", { className: "scrub" }, strip, range), next, time, speed, edit, loop, follow, trail, reset, full, info);
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "Playback");
  root.replaceChildren(stage, bar);
  root.classList.toggle("framed", embedded || Boolean(spec.width || spec.height));
  if (spec.width) root.style.width = "min(100%, " + spec.width + "px)";
  if (spec.height) root.style.height = "min(100vh, " + spec.height + "px)";

  const rows = [
    ["Drag", flat ? "move" : "orbit"], ...(flat ? [] : [["Shift or right drag", "move"]]), ["Wheel, pinch", "zoom"], ["Space", "play, pause"],
    ["← →", "one frame"], ["Shift ← →", "ten frames"], ["Home End", "first, last frame"], ["[ ]", "slower, faster"],
    ["L F T R", "loop, follow, trail, reset the view"],
  ];
  const editable = layers.filter((l) => l.edit && l.fps === fps);
  edit.hidden = !editable.length;
  if (editable.length) rows.push(["E", "drag points: " + editable.map((l) => l.label).join(", ")], ["X", "reject the repair under the pointer, or take it back"]);

  // ---------------------------------------------------------------- colours
  let C = {}, mixed = new Map();
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const light = ([r, g, b]) => {
    const f = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const contrast = (p, q) => (Math.max(light(p), light(q)) + 0.05) / (Math.min(light(p), light(q)) + 0.05);
  const blend = (p, q, t) => p.map((v, i) => v + (q[i] - v) * t);
  const css = (p, a = 1) => "rgba(" + p.map(Math.round).join(",") + "," + a + ")";

  // A colour that can be seen on this background: white on white turns grey.
  function seen(hex) {
    const p = rgb(hex), bg = C.bg;
    let q = p;
    for (let t = 0.08; t < 0.9 && contrast(q, bg) < C.least; t += 0.08) q = blend(p, C.ink, t);
    return q;
  }
  // The colour of something at a depth of 0 (near) to 7 (far): far things pale.
  function shade(hex, depth) {
    const key = hex + depth;
    if (!mixed.has(key)) mixed.set(key, css(blend(seen(hex), C.bg, depth * 0.055)));
    return mixed.get(key);
  }
  function parentIsDark() {
    try {
      const bg = window.parent.getComputedStyle(window.parent.document.body).backgroundColor.match(/[\d.]+/g).map(Number);
      if (bg.length === 3 || bg[3] > 0) return light(bg.slice(0, 3)) < 0.25;
    } catch (e) { /* another origin: the system's setting decides */ }
    return null;
  }
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  function theme() {
    const own = spec.theme === "auto" ? null : spec.theme === "dark";
    const dark = own ?? (embedded ? parentIsDark() : null) ?? system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    const style = getComputedStyle(document.documentElement);
    C = Object.fromEntries(["bg", "ink", "dim", "grid", "flag", "accent", "gone"].map((k) => [k, rgb(style.getPropertyValue("--" + k).trim())]));
    C.least = dark ? 3 : 1.7;
    C.shadow = dark ? [0, 0, 0] : [70, 80, 100];
    mixed = new Map();
    for (const d of legend.querySelectorAll("[data-color]")) d.style.backgroundColor = css(seen(d.dataset.color));
    drawStrip();
    ask();
  }

  // ---------------------------------------------------------------- view
  const view = { yaw: 0, pitch: 0, k: 1, x: 0, y: 0, target: [0, 0, 0] };
  let W = 1, H = 1, R = null, D = 1;

  function axes() {
    const s = Math.sin(view.yaw), c = Math.cos(view.yaw), sp = Math.sin(view.pitch), cp = Math.cos(view.pitch);
    R = [c, 0, -s, -s * sp, cp, -c * sp, s * cp, sp, c * cp];
    D = (2.2 * H) / view.k;
  }
  // Pixels to the right and down, and the distance towards the viewer; false when behind the viewer.
  const P = [0, 0, 0];
  function project(x, y, z) {
    const t = view.target;
    if (flat) {
      P[0] = W / 2 + view.x + (x - t[0]) * view.k;
      P[1] = H / 2 + view.y + (y - t[1]) * view.k;
      P[2] = 0;
      return true;
    }
    x -= t[0]; y -= t[1]; z -= t[2];
    const depth = R[6] * x + R[7] * y + R[8] * z;
    if (depth > 0.9 * D) return false;
    const k = view.k / (1 - depth / D);
    P[0] = W / 2 + view.x + (R[0] * x + R[2] * z) * k;
    P[1] = H / 2 + view.y - (R[3] * x + R[4] * y + R[5] * z) * k;
    P[2] = depth;
    return true;
  }
  const following = () => follow.getAttribute("aria-pressed") === "true";
  function aim() {
    const c = spec.dim, t = following() ? centres() : null;
    for (let a = 0; a < 3; a++) view.target[a] = a >= c ? 0 : t ? t[at * c + a] : spec.center[a];
    if (t && !flat) view.target[1] = spec.center[1];
  }
  // The scale at which the box, or the body that is followed, fills the picture.
  function fit() {
    axes();
    const h = following() ? spec.body : spec.half, [a, b, c] = [h[0], flat ? h[1] : spec.half[1], h[2] || 0];
    const wide = flat ? a : Math.abs(R[0]) * a + Math.abs(R[2]) * c, high = flat ? b : Math.abs(R[3]) * a + Math.abs(R[4]) * b + Math.abs(R[5]) * c;
    const room = H - top.offsetHeight - 34;
    view.k = Math.min((W * 0.44) / Math.max(wide, 1e-9), (Math.max(room, H * 0.4) * (flat ? 0.46 : 0.44)) / Math.max(high, 1e-9));
    view.x = 0;
    view.y = (top.offsetHeight - 12) / 2;
  }
  let touched = false;
  function home() {
    view.yaw = (spec.view[0] * Math.PI) / 180;
    view.pitch = (spec.view[1] * Math.PI) / 180;
    touched = false;
    fit();
    ask();
  }

  // ---------------------------------------------------------------- drawing
  const nice = (x) => {
    const p = 10 ** Math.floor(Math.log10(x));
    return p * (x / p >= 5 ? 5 : x / p >= 2 ? 2 : 1);
  };
  const length = (v) => (flat ? v + " px" : v >= 1 ? v + " m" : v >= 0.01 ? +(v * 100).toPrecision(3) + " cm" : +(v * 1000).toPrecision(3) + " mm");

  function segment(x0, y0, z0, x1, y1, z1) {
    if (!project(x0, y0, z0)) return;
    const u = P[0], v = P[1];
    if (!project(x1, y1, z1)) return;
    ctx.moveTo(u, v);
    ctx.lineTo(P[0], P[1]);
  }
  function floor() {
    const size = Math.max(...spec.body) || 1, step = nice(size * 0.8), n = 9, y = spec.floor;
    const cx = Math.round(view.target[0] / step), cz = Math.round(view.target[2] / step);
    const buckets = Array.from({ length: 6 }, () => []);
    for (let i = -n; i <= n; i++) {
      for (let j = -n; j < n; j++) {
        const d = Math.hypot(i, j + 0.5) / n;
        if (d < 1) buckets[Math.floor(d * 6)].push(i, j);
      }
    }
    ctx.lineWidth = 1;
    buckets.forEach((cells, b) => {
      ctx.beginPath();
      for (let m = 0; m < cells.length; m += 2) {
        const i = cells[m], j = cells[m + 1];
        segment((cx + i) * step, y, (cz + j) * step, (cx + i) * step, y, (cz + j + 1) * step);
        segment((cx + j) * step, y, (cz + i) * step, (cx + j + 1) * step, y, (cz + i) * step);
      }
      ctx.strokeStyle = css(C.grid, 0.42 * (1 - (b + 0.3) / 6));
      ctx.stroke();
    });
    return step;
  }
  function pixels() {
    const step = nice(70 / view.k), x0 = view.target[0] - (W / 2 + view.x) / view.k, y0 = view.target[1] - (H / 2 + view.y) / view.k;
    ctx.lineWidth = 1;
    ctx.strokeStyle = css(C.grid, 0.22);
    ctx.fillStyle = css(C.dim, 0.9);
    ctx.font = "10px system-ui, sans-serif";
    ctx.beginPath();
    const text = [];
    for (let x = Math.ceil(x0 / step) * step; x < x0 + W / view.k; x += step) {
      const u = Math.round((x - x0) * view.k) + 0.5;
      ctx.moveTo(u, 0);
      ctx.lineTo(u, H);
      if (u > 40 && u < W - 30) text.push([+x.toPrecision(6), u + 3, H - 26]);
    }
    for (let y = Math.ceil(y0 / step) * step; y < y0 + H / view.k; y += step) {
      const v = Math.round((y - y0) * view.k) + 0.5;
      ctx.moveTo(0, v);
      ctx.lineTo(W, v);
      if (v > top.offsetHeight + 20 && v < H - 40) text.push([+y.toPrecision(6), 4, v - 3]);
    }
    ctx.stroke();
    for (const [s, u, v] of text) ctx.fillText(s, u, v);
    return step;
  }
  // Screen positions of a layer's joints in a frame, NaN where missing; true when something is there.
  function place(layer, k, out) {
    const c = spec.dim, J = layer.joints.length;
    let any = false;
    for (let j = 0; j < J; j++) {
      const o = (k * J + j) * c, x = layer.x[o];
      if (k >= 0 && x === x && project(x, layer.x[o + 1], c === 3 ? layer.x[o + 2] : 0)) {
        out[3 * j] = P[0];
        out[3 * j + 1] = P[1];
        out[3 * j + 2] = P[2];
        any = true;
      } else out[3 * j] = out[3 * j + 1] = out[3 * j + 2] = NaN;
    }
    return any;
  }
  function shadows(shown) {
    const y = spec.floor;
    ctx.beginPath();
    for (const l of shown) {
      const k = frameOf(l, at), J = l.joints.length, x = l.x;
      for (const [a, b] of l.edges) {
        const p = (k * J + a) * 3, q = (k * J + b) * 3;
        if (k >= 0 && x[p] === x[p] && x[q] === x[q]) segment(x[p], y, x[p + 2], x[q], y, x[q + 2]);
      }
    }
    ctx.lineCap = ctx.lineJoin = "round";
    ctx.lineWidth = thick();
    ctx.strokeStyle = css(C.shadow, document.documentElement.dataset.theme === "dark" ? 0.5 : 0.13);
    ctx.stroke();
  }
  const thick = () => clamp(Math.max(...spec.body) * view.k * (flat ? 0.035 : 0.026), 1.6, flat ? 5 : 9);

  // The paths of the last second, fading.
  function trails(layer) {
    const c = spec.dim, J = layer.joints.length, span = Math.max(2, Math.round(fps)), parts = 6;
    ctx.lineCap = "round";
    for (const j of layer.trail) {
      const color = rgb(layer.color || layer.jointColors[j]);
      for (let p = 0; p < parts; p++) {
        const from = at - Math.round((span * (p + 1)) / parts), to = at - Math.round((span * p) / parts);
        let open = false;
        ctx.beginPath();
        for (let i = Math.max(0, from); i <= to; i++) {
          const k = frameOf(layer, i), o = (k * J + j) * c, x = layer.x[o];
          if (k < 0 || x !== x || !project(x, layer.x[o + 1], c === 3 ? layer.x[o + 2] : 0)) open = false;
          else if (open) ctx.lineTo(P[0], P[1]);
          else { ctx.moveTo(P[0], P[1]); open = true; }
        }
        ctx.lineWidth = Math.max(1, thick() * 0.5 * (1 - p / parts));
        ctx.strokeStyle = css(color, 0.75 * (1 - p / parts));
        ctx.stroke();
      }
    }
  }
  function draw() {
    const dpr = window.devicePixelRatio || 1;
    ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
    ctx.clearRect(0, 0, W, H);
    axes();
    aim();
    if (flat && filmReady() && project(0, 0, 0)) ctx.drawImage(film, P[0], P[1], spec.video.width * view.k, spec.video.height * view.k);
    const step = flat ? pixels() : floor();
    const shown = layers.filter((l) => l.shown);
    if (!flat) shadows(shown);
    if (trail.getAttribute("aria-pressed") === "true") shown.forEach(trails);
    bones(shown);
    if (!flat) compass();
    const said = placeName();
    foot.textContent = (said && said + " · ") + (flat ? "pixels, y down · grid " : "grid ") + length(step) + spec.remarks.map((t) => " · " + t).join("");
    hook.drawn++;
  }
  // Far bones first. Recordings that lie on each other keep their order, the first one broad and the last one slim.
  function bones(shown) {
    const items = [], groups = [...new Set(shown.map((l) => l.group))], overlay = groups.length > 1, w = thick();
    let near = -Infinity, far = Infinity;
    for (const l of shown) {
      const p = l.dots, k = frameOf(l, at), g = groups.indexOf(l.group);
      if (!place(l, k, p)) continue;
      l.slim = overlay ? 1.5 - (0.8 * g) / (groups.length - 1) : shown.length > 1 ? 0.85 : 1;
      l.edges.forEach(([a, b], e) => {
        const z = (p[3 * a + 2] + p[3 * b + 2]) / 2;
        if (z === z) items.push({ g, z, l, a, b, e });
      });
      for (let j = 0; j < l.joints.length; j++) {
        const z = p[3 * j + 2];
        if (z !== z) continue;
        near = Math.max(near, z);
        far = Math.min(far, z);
        items.push({ g, z: z + 1e-6, l, a: j, b: -1, flag: isFlagged(l, k * l.joints.length + j) });
      }
    }
    items.sort((p, q) => p.g - q.g || p.z - q.z || q.b - p.b);
    const depth = (z) => (near - far > 1e-6 ? clamp(Math.round((7 * (near - z)) / (near - far)), 0, 7) : 0);
    rings.length = 0;
    for (const i of items) (i.b < 0 ? joint : bone)(i, flat ? 1 : 1 / (1 - i.z / D), flat ? 0 : depth(i.z), w, overlay);
    ctx.lineWidth = 2.2;
    ctx.strokeStyle = css(C.flag);
    for (const [x, y, r] of rings) {
      ctx.beginPath();
      ctx.arc(x, y, r, 0, 7);
      ctx.stroke();
    }
  }
  const rings = [];
  function bone({ l, a, b, e }, s, depth, w, overlay) {
    const p = l.dots, [x, y] = [p[3 * a], p[3 * a + 1]], [dx, dy] = [p[3 * b] - x, p[3 * b + 1] - y];
    const width = Math.max(1.3, Math.min(w * s * l.slim, 0.5 * l.bone[e] * view.k * s));
    if (!overlay && !flat) {
      ctx.beginPath();
      ctx.moveTo(x + 0.2 * dx, y + 0.2 * dy);
      ctx.lineTo(x + 0.8 * dx, y + 0.8 * dy);
      ctx.lineCap = "butt";
      ctx.lineWidth = width + 3;
      ctx.strokeStyle = css(C.bg, 0.85);
      ctx.stroke();
    }
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x + dx, y + dy);
    ctx.lineCap = "round";
    ctx.lineWidth = width;
    ctx.strokeStyle = shade(l.color || l.edgeColors[e], depth);
    ctx.stroke();
  }
  function joint({ l, a, flag }, s, depth, w) {
    const x = l.dots[3 * a], y = l.dots[3 * a + 1], r = Math.max(flat ? 2.4 : 1.5, w * s * l.slim * (a === l.head && !flat ? 1.6 : flat ? 0.9 : 0.68));
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 7);
    ctx.fillStyle = shade(l.color || l.jointColors[a], depth);
    ctx.fill();
    if (flag) rings.push([x, y, r + 4]);
  }
  function compass() {
    const x = W - 34, y = H - 30, r = 19, names = "xyz", tint = ["#e5484d", "#3d9a50", "#3b78e0"];
    ctx.font = "600 10px system-ui, sans-serif";
    ctx.textBaseline = "middle";
    ctx.textAlign = "center";
    for (const i of [0, 1, 2].sort((a, b) => R[6 + a] - R[6 + b])) {
      const u = R[i] * r, v = -R[3 + i] * r;
      ctx.strokeStyle = ctx.fillStyle = tint[i];
      ctx.lineWidth = 2;
      ctx.beginPath();
      ctx.moveTo(x, y);
      ctx.lineTo(x + u, y + v);
      ctx.stroke();
      ctx.fillText(names[i], x + u * 1.4, y + v * 1.4);
    }
    ctx.textAlign = "start";
    ctx.textBaseline = "alphabetic";
  }

  // Under the slider: where points are flagged, and where they are missing.
  function drawStrip() {
    const box = strip.getBoundingClientRect(), dpr = window.devicePixelRatio || 1;
    const w = (strip.width = Math.max(1, Math.round(box.width * dpr))), h = (strip.height = Math.round(6 * dpr)), s = strip.getContext("2d");
    const bad = new Float32Array(frames), gone = new Float32Array(frames);
    for (const l of layers) {
      for (let i = 0; l.shown && i < frames; i++) {
        const k = frameOf(l, i);
        bad[i] = Math.max(bad[i], k < 0 ? 0 : l.badShare[k]);
        gone[i] = Math.max(gone[i], k < 0 ? 0 : l.goneShare[k]);
      }
    }
    for (let x = 0; x < w; x++) {
      const from = clamp(Math.round((x / w) * (frames - 1)), 0, frames - 1), to = Math.max(from + 1, Math.round(((x + 1) / w) * (frames - 1)));
      [[bad, C.flag, 0], [gone, C.gone, 0.5]].forEach(([share, color, y]) => {
        const most = Math.max(...share.subarray(from, to));
        s.fillStyle = css(color, 0.5 + 0.5 * Math.min(1, 3 * most));
        if (most) s.fillRect(x, y * h, 1, h / 2);
      });
    }
  }
  // The share of flagged and of missing points in each frame; joints that are never there do not count.
  for (const l of layers) {
    const J = l.joints.length, c = spec.dim;
    l.badShare = new Float32Array(l.n);
    l.goneShare = new Float32Array(l.n);
    for (let j = 0; j < J; j++) {
      let seen = false;
      for (let k = 0; k < l.n && !seen; k++) seen = l.x[(k * J + j) * c] === l.x[(k * J + j) * c];
      for (let k = 0; k < l.n; k++) {
        if (isFlagged(l, k * J + j)) l.badShare[k] += 1 / J;
        if (seen && l.x[(k * J + j) * c] !== l.x[(k * J + j) * c]) l.goneShare[k] += 1 / J;
      }
    }
  }

  // Where points are flagged: runs of frames, at the worst of each; a tenth of a second between two does not part them.
  const places = [];
  const wrong = new Float32Array(frames);
  for (const l of layers) {
    for (let i = 0; i < frames; i++) {
      const k = frameOf(l, i);
      if (k >= 0) wrong[i] = Math.max(wrong[i], l.badShare[k]);
    }
  }
  for (let i = 0, end = -Infinity; i < frames; i++) {
    if (!wrong[i]) continue;
    const place = i - end <= Math.max(1, fps / 10) ? places[places.length - 1] : null;
    if (!place) places.push(i);
    else if (wrong[i] > wrong[place]) places[places.length - 1] = i;
    end = i;
  }
  next.hidden = !places.length;
  if (places.length) rows.push(["N P", "next, last suspicious place"]);
  function go(by) {
    if (!places.length) return;
    const to = by > 0 ? places.find((i) => i > at) : places.filter((i) => i < at).pop();
    toggle(false);
    seek(to ?? (by > 0 ? places[0] : places[places.length - 1]));
  }
  function placeName() {
    const i = places.indexOf(at);
    if (i < 0) return "";
    const names = new Set();
    for (const l of layers) {
      const k = frameOf(l, at), J = l.joints.length;
      for (let j = 0; k >= 0 && j < J; j++) if (isFlagged(l, k * J + j)) names.add(l.joints[j]);
    }
    const some = [...names].slice(0, 4).join(", ") + (names.size > 4 ? " and " + (names.size - 4) + " more" : "");
    return "suspicious place " + (i + 1) + " of " + places.length + ": " + some;
  }

  // ---------------------------------------------------------------- time
  let at = 0, clock = 0, playing = false, last = 0, rate = spec.speed, asked = false, onscreen = true;
  function ask() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(tick);
  }
  function tick(now) {
    asked = false;
    if (playing && onscreen) {
      if (filmReady()) {
        if (film.paused) run();
        clock = film.ended ? duration : Math.max(0, film.currentTime * spec.video.fps - spec.first) / spec.step / fps;
      } else clock += Math.min(0.25, Math.max(0, (now - last) / 1000)) * rate;
      last = now;
      if (clock >= duration) {
        if (loop.getAttribute("aria-pressed") === "true") {
          clock %= duration;
          if (film) film.currentTime = filmTime(Math.floor(clock * fps));
        } else {
          clock = (frames - 1) / fps;
          toggle(false);
        }
      }
      at = clamp(Math.floor(clock * fps + 1e-6), 0, frames - 1);
      showTime();
      ask();
    }
    draw();
  }
  function showTime() {
    const s = at / fps, whole = (frames - 1) / fps, digits = whole >= 600 ? 1 : 2;
    const clockText = (v) => (whole >= 60 ? Math.floor(v / 60) + ":" + (v % 60).toFixed(digits).padStart(3 + digits, "0") : v.toFixed(digits));
    const n = at * spec.step + spec.first, end = (frames - 1) * spec.step + spec.first;
    range.value = at;
    range.style.setProperty("--at", (100 * at) / Math.max(1, frames - 1) + "%");
    range.setAttribute("aria-valuetext", s.toFixed(2) + " seconds, frame " + n);
    time.replaceChildren(clockText(s + spec.start) + " s ", el("small", {}, "· frame " + n + " / " + end));
  }
  function run() {
    film.playbackRate = clamp(filmRate(), 0.0625, 16);
    film.play().catch(() => {});
  }
  function seek(i) {
    at = clamp(Math.round(Number(i) || 0), 0, frames - 1);
    clock = at / fps;
    if (film && film.readyState >= 1) film.currentTime = filmTime(at);
    showTime();
    ask();
  }
  function toggle(on = !playing) {
    if (on && clock >= (frames - 1) / fps) clock = 0;
    playing = on && frames > 1;
    if (film && !playing) {
      film.pause();
      if (film.readyState >= 1) film.currentTime = filmTime(at);
    }
    last = performance.now();
    play.replaceChildren(icon(ICON[playing ? "pause" : "play"]));
    play.title = playing ? "Pause (space)" : "Play (space)";
    play.setAttribute("aria-label", play.title);
    ask();
  }
  function setSpeed(v) {
    rate = clamp(Number(v) || 1, 0.01, 16);
    if (![...speed.options].some((o) => Number(o.value) === rate)) speed.append(el("option", { value: rate }, rate + "×"));
    speed.value = rate;
    if (film) film.playbackRate = clamp(filmRate(), 0.0625, 16);
  }
  function press(name, on) {
    const b = { loop, follow, trail, edit, help: info }[name];
    b.setAttribute("aria-pressed", on ?? b.getAttribute("aria-pressed") !== "true");
    if (name === "help") help.hidden = b.getAttribute("aria-pressed") !== "true";
    if (name === "follow") fit();
    if (name === "edit") {
      canvas.classList.toggle("editing", editing());
      if (editing()) toggle(false);
    }
    ask();
  }

  help.append(el("dl", {}, ...rows.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])), ...spec.notes.map((n) => el("p", {}, n)));

  // ---------------------------------------------------------------- legend
  function show(layer, on) {
    layer.shown = on;
    layer.chip.setAttribute("aria-pressed", on);
    drawStrip();
    ask();
  }
  function swatch(color, kind = "") {
    const d = el("span", { className: "dot " + kind });
    if (color) d.dataset.color = color;
    return d;
  }
  for (const l of layers) {
    const dot = swatch(l.color || spec.sides.middle);
    l.chip = el("button", { type: "button", className: "chip", title: "Show or hide " + l.label, onclick: () => show(l, !l.shown) }, dot, el("span", {}, l.label));
    l.chip.setAttribute("aria-pressed", "true");
    legend.append(el("li", {}, l.chip));
  }
  const key = (dot, word) => legend.append(el("li", {}, el("span", { className: "chip key" }, dot, el("span", {}, word))));
  if (layers.length === 1 && !layers[0].color) {
    for (const s of ["left", "right"]) if (layers[0].jointColors.includes(spec.sides[s])) key(swatch(spec.sides[s]), s);
  }
  if (layers.some((l) => l.badShare.some(Boolean))) key(swatch("", "ring"), "flagged");
  if (layers.some((l) => l.goneShare.some(Boolean))) key(swatch("", "gap"), "missing");

  // ---------------------------------------------------------------- hands
  const pointers = new Map();
  let gap = 0;
  const span = () => {
    const [p, q] = [...pointers.values()];
    return Math.hypot(p.x - q.x, p.y - q.y);
  };
  function zoom(factor, x = W / 2, y = H / 2) {
    const k = clamp(view.k * factor, 1e-6, 1e9), f = k / view.k;
    view.x = (view.x + W / 2 - x) * f + x - W / 2;
    view.y = (view.y + H / 2 - y) * f + y - H / 2;
    view.k = k;
    touched = true;
    ask();
  }
  function orbit(dx, dy) {
    view.yaw -= dx * 0.008;
    view.pitch = clamp(view.pitch + dy * 0.008, -1.55, 1.55);
    touched = true;
    ask();
  }
  function pan(dx, dy) {
    view.x += dx;
    view.y += dy;
    touched = true;
    ask();
  }
  const where = (e) => {
    const b = canvas.getBoundingClientRect();
    return { x: e.clientX - b.left, y: e.clientY - b.top };
  };
  // A point that is dragged moves in the plane of the picture. The page around learns where it was put.
  const editing = () => edit.getAttribute("aria-pressed") === "true";
  const tell = (what, l, j, more) => window.parent.postMessage({ motionbook: what, actor: l.actor, joint: j, frame: at * spec.step + spec.first, ...more }, "*");
  let held = null;
  function nearest({ x, y }, among, reach) {
    let best = reach, found = null;
    for (const l of among) {
      for (let j = 0; l.shown && j < l.joints.length; j++) {
        const d = Math.hypot(l.dots[3 * j] - x, l.dots[3 * j + 1] - y);
        if (d < best) [best, found] = [d, [l, j]];
      }
    }
    return found;
  }
  function drag(dx, dy) {
    const [l, j] = held.point, o = (frameOf(l, at) * l.joints.length + j) * spec.dim, s = view.k / (flat ? 1 : 1 - l.dots[3 * j + 2] / D);
    for (let a = 0; a < spec.dim; a++) l.x[o + a] += flat ? [dx, dy][a] / s : (R[a] * dx - R[3 + a] * dy) / s;
    held.moved = true;
    ask();
  }
  const valueOf = (l, j) => {
    const o = (frameOf(l, at) * l.joints.length + j) * spec.dim;
    return [...l.x.slice(o, o + spec.dim)];
  };
  function letGo() {
    const [l, j] = held.point;
    if (held.moved) tell("moved", l, j, { value: valueOf(l, j), from: held.from });
    held = null;
  }
  // The page around may ask for a frame, for a mode, and for other places of points: {actor, joint, frames, values}.
  window.addEventListener("message", (e) => {
    if (e.source !== window.parent || !embedded || !e.data) return;
    const d = e.data;
    if (d.motionbook === "seek") {
      toggle(false);
      seek(Math.round((d.frame - spec.first) / spec.step));
    } else if (d.motionbook === "edit") press("edit", Boolean(d.on));
    else if (d.motionbook === "put") {
      for (const l of editable.filter((l) => l.actor === d.actor)) {
        d.frames.forEach((f, i) => {
          const k = (f - spec.first) / spec.step;
          if (Number.isInteger(k) && k >= 0 && k < l.n) l.x.set(d.values[i].map((v) => v ?? NaN), (k * l.joints.length + d.joint) * spec.dim);
        });
      }
      track = null;
      ask();
    }
  });
  canvas.addEventListener("pointerdown", (e) => {
    const grabbed = editing() && e.button === 0 && !e.shiftKey && pointers.size === 0 ? nearest(where(e), editable, 16) : null;
    held = grabbed && { point: grabbed, from: valueOf(...grabbed), moved: false };
    canvas.setPointerCapture(e.pointerId);
    pointers.set(e.pointerId, { ...where(e), pan: flat || e.shiftKey || e.button !== 0 });
    gap = pointers.size === 2 ? span() : 0;
    canvas.classList.add("moving");
    canvas.focus({ preventScroll: true });
    tip.hidden = true;
    if (e.button === 1) e.preventDefault();
  });
  canvas.addEventListener("pointermove", (e) => {
    const p = pointers.get(e.pointerId), now = where(e);
    if (!p) return hover(now);
    const dx = now.x - p.x, dy = now.y - p.y;
    p.x = now.x;
    p.y = now.y;
    if (held) drag(dx, dy);
    else if (pointers.size === 2) {
      const g = span(), [a, b] = [...pointers.values()];
      if (gap) zoom(g / gap, (a.x + b.x) / 2, (a.y + b.y) / 2);
      gap = g;
      pan(dx / 2, dy / 2);
    } else if (p.pan) pan(dx, dy);
    else orbit(dx, dy);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (e) => {
      pointers.delete(e.pointerId);
      if (held) letGo();
      gap = 0;
      canvas.classList.toggle("moving", pointers.size > 0);
    });
  }
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  canvas.addEventListener("dblclick", home);

  // Inside a page the wheel belongs to the page until the player is clicked; a pinch always zooms.
  let hint = 0;
  canvas.addEventListener("wheel", (e) => {
    if (embedded && !e.ctrlKey && !document.hasFocus()) {
      tip.textContent = "Click, then turn the wheel to zoom";
      tip.style.left = "12px";
      tip.style.top = H - 62 + "px";
      tip.hidden = false;
      clearTimeout(hint);
      hint = setTimeout(() => (tip.hidden = true), 1200);
      return;
    }
    e.preventDefault();
    const p = where(e), unit = e.deltaMode === 1 ? 18 : 1;
    zoom(Math.exp(-clamp(e.deltaY * unit, -240, 240) * (e.ctrlKey ? 0.01 : 0.0016)), p.x, p.y);
  }, { passive: false });

  // The name and place of the joint under the pointer.
  let under = null;
  function hover(point) {
    const { x, y } = point, found = nearest(point, layers, 11);
    under = nearest(point, editable, 11);
    tip.hidden = !found;
    if (!found) return;
    const [l, j] = found, k = frameOf(l, at), o = (k * l.joints.length + j) * spec.dim;
    const place = [...l.x.slice(o, o + spec.dim)].map((v, i) => "xyz"[i] + " " + v.toFixed(flat ? 1 : 3)).join("  ");
    const note = isFlagged(l, k * l.joints.length + j) ? "  (flagged)" : "";
    tip.textContent = l.joints[j] + (layers.length > 1 ? " · " + l.label : "") + note + "\n" + place + (flat ? " px" : " m");
    tip.style.left = clamp(x + 14, 4, Math.max(4, W - tip.offsetWidth - 4)) + "px";
    tip.style.top = clamp(y - tip.offsetHeight - 8, 4, H) + "px";
  }

  // ---------------------------------------------------------------- keys
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const tag = e.target.tagName, far = e.shiftKey ? 10 : 1;
    if (tag === "SELECT") return;
    if (e.key === " " && tag === "BUTTON") return;
    const speeds = [...speed.options].map((o) => Number(o.value)).sort((a, b) => a - b);
    const acts = {
      " ": () => toggle(), ArrowLeft: () => step(-far), ArrowRight: () => step(far), Home: () => seek(0), End: () => seek(frames - 1),
      "[": () => setSpeed(speeds.filter((s) => s < rate).pop() ?? rate), "]": () => setSpeed(speeds.find((s) => s > rate) ?? rate),
      l: () => press("loop"), f: () => press("follow"), t: () => press("trail"), r: home, "?": () => press("help"),
      n: () => go(e.shiftKey ? -1 : 1), p: () => go(-1), e: () => editable.length && press("edit"), x: () => under && tell("reject", ...under),
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), Escape: () => press("help", false),
    };
    const act = acts[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act) return;
    e.preventDefault();
    act();
  });
  function step(by) {
    toggle(false);
    seek(at + by);
  }
  range.addEventListener("input", () => seek(range.value));
  speed.addEventListener("change", () => setSpeed(speed.value));

  // ---------------------------------------------------------------- start
  // What tests and pages may read and set.
  const hook = {
    drawn: 0, frames, fps, duration, dim: spec.dim,
    get frame() { return at; },
    get time() { return at / fps; },
    get playing() { return playing; },
    get settled() { return !asked; },
    get size() { return [W, H, canvas.width, canvas.height]; },
    get speed() { return rate; },
    get view() { return { yaw: view.yaw, pitch: view.pitch, zoom: view.k }; },
    get places() { return [...places]; },
    get editing() { return editing(); },
    get film() { return film && { time: film.currentTime, ready: filmReady(), error: Boolean(film.error) }; },
    next: () => go(1), edit: (on) => press("edit", on),
    get theme() { return document.documentElement.dataset.theme; },
    get layers() { return layers.map((l) => ({ label: l.label, joints: [...l.joints], visible: l.shown, color: l.color })); },
    // Per visible layer: the joints' pixels [[x, y] or null] in the current frame, as drawn.
    get joints() {
      return Object.fromEntries(layers.filter((l) => l.shown).map((l) => [l.label, l.joints.map((_, j) => (l.dots[3 * j] === l.dots[3 * j] ? [l.dots[3 * j], l.dots[3 * j + 1]] : null))]));
    },
    // Per layer: the joints' coordinates in the file's units in the current frame.
    get positions() {
      const c = spec.dim;
      return Object.fromEntries(layers.map((l) => {
        const k = frameOf(l, at), J = l.joints.length;
        return [l.label, l.joints.map((_, j) => (k >= 0 && l.x[(k * J + j) * c] === l.x[(k * J + j) * c] ? [...l.x.slice((k * J + j) * c, (k * J + j + 1) * c)] : null))];
      }));
    },
    play: () => toggle(true),
    pause: () => toggle(false),
    seek, setSpeed, zoom, orbit, pan, reset: home, follow: (on) => press("follow", on), trail: (on) => press("trail", on), loop: (on) => press("loop", on),
    show: (label, on) => layers.filter((l) => l.label === label).forEach((l) => show(l, on)),
  };
  window.motionbook = hook;

  function resize() {
    const b = stage.getBoundingClientRect(), dpr = window.devicePixelRatio || 1;
    const before = [W, H];
    [W, H] = [Math.max(1, b.width), Math.max(1, b.height)];
    canvas.width = Math.round(W * dpr);
    canvas.height = Math.round(H * dpr);
    if (touched) view.k *= Math.min(W / before[0], H / before[1]);
    else fit();
    drawStrip();
    draw();
  }
  theme();
  home();
  showTime();
  resize();
  new ResizeObserver(resize).observe(stage);
  window.addEventListener("resize", resize);
  system.addEventListener("change", theme);
  if (embedded) {
    try {
      const seen = new MutationObserver(theme), doc = window.parent.document;
      for (const node of [doc.documentElement, doc.body]) seen.observe(node, { attributes: true });
    } catch (e) { /* another origin: nothing to watch */ }
  }
  new IntersectionObserver((found) => {
    onscreen = found[found.length - 1].isIntersecting;
    last = performance.now();
    ask();
  }).observe(root);
  if (spec.autoplay && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) toggle(true);
})();
