"use strict";
(async () => {
const $ = id => document.getElementById(id);
function failed(line) { $("failed").textContent = line; $("failed").hidden = false; }

// ---- the packed maps -------------------------------------------------------------------------------------------------
let raw;
try {
  const bytes = Uint8Array.from(atob($("packed").textContent.trim()), sign => sign.charCodeAt(0));
  raw = new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
} catch (error) {
  failed("The maps in this page cannot be unpacked: the file is damaged, or the browser is older than 2023 (" + error + ").");
  return;
}
const length = new DataView(raw.buffer).getUint32(0, true);
const data = JSON.parse(new TextDecoder().decode(raw.subarray(4, 4 + length)));
const [ny, nx] = data.shape, cells = ny * nx;
let offset = 4 + length;
function take(n) { const part = raw.subarray(offset, offset + n); offset += n; return part; }
for (const layer of data.layers) layer.maps = take(layer.dates.length * cells);
const land = data.land ? take(data.land[0] * data.land[1]) : null;
if (data.chlorophyll) data.chlorophyll.maps = take(data.chlorophyll.days.length * cells);
if (offset !== raw.length) { failed("The file is damaged: it does not hold as many maps as it says."); return; }

// ---- what can be chosen ----------------------------------------------------------------------------------------------
const unique = values => [...new Set(values)];
const speeds = unique(data.layers.map(one => one.speed)).sort((a, b) => a - b);
const models = unique(data.layers.map(one => one.model));
const levelsOf = speed => unique(data.layers.filter(one => one.speed === speed).map(one => one.level)).sort((a, b) => a - b);
const find = (model, speed, level) => data.layers.find(one => one.model === model && one.speed === speed && one.level === level);
const constant = layer => layer.dates[0] === null;
const state = { speed: speeds[0], level: 0, day: 0, left: models.find(m => data.layers.some(l => l.model === m && !constant(l))),
                right: "", width: data.reach, shade: "pdf" };
state.level = levelsOf(state.speed)[0];
state.right = models.find(one => one !== state.left) || "";
function option(select, value, text) { const one = document.createElement("option"); one.value = value; one.textContent = text; select.append(one); }
for (const model of models) { if (data.layers.some(l => l.model === model && !constant(l))) option($("left"), model, model); option($("right"), model, model); }
option($("right"), "", "nothing");
for (const width of unique([100, 150, 200, 300, data.half, data.reach]).filter(w => w <= data.half).sort((a, b) => a - b))
  option($("width"), width, "±" + width + " km");
$("left").value = state.left; $("right").value = state.right; $("width").value = state.width;
$("speed").max = speeds.length - 1;
for (const [id, several] of [["speed", speeds.length > 1], ["level", speeds.some(s => levelsOf(s).length > 1)]])
  $(id).closest(".row").hidden = !several;
$("right").closest("span").hidden = models.length < 2;

const leftLayer = () => find(state.left, state.speed, state.level);
const rightLayer = () => state.right ? find(state.right, state.speed, state.level) : undefined;
function nearest(days, day, within) {
  let best = -1, least = within;
  days.forEach((one, k) => { if (one !== null && Math.abs(one - day) <= least) { least = Math.abs(one - day); best = k; } });
  return best;
}
function step(days) { const gaps = days.slice(1).map((d, k) => d - days[k]).sort((a, b) => a - b); return gaps.length ? gaps[gaps.length >> 1] : 1; }
// number of the map of a layer that is shown, -1 where none is of these days
function shown(layer) { return !layer ? -1 : constant(layer) ? 0 : nearest(layer.dates, state.day, Math.max(step(layer.dates), 5)); }
const iso = day => new Date(day * 864e5).toISOString().slice(0, 10);
const number = (value, digits = 3) => value === null || value === undefined ? "–" : Number(value.toPrecision(digits)).toString();
const percent = value => value === null || value === undefined ? "–" : Math.round(100 * value) + "\u00a0%";
const speedWords = speed => number(speed, 6) + " m/d", levelWords = level => number(level, 6) + " m";
function where(east, north) {
  const away = Math.hypot(east, north);
  if (away < 1) return "at the trap";
  const names = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];
  return Math.round(away) + " km " + names[Math.round(Math.atan2(east, north) / (Math.PI / 4) + 8) % 8] + " of the trap";
}

// ---- maps ------------------------------------------------------------------------------------------------------------
const ramp = ["#ffffff", "#e3f1f6", "#b9dde9", "#83c3da", "#4aa3c7", "#2680af", "#145c8f", "#0c3a66", "#071f3f"].map(rgb);
const greens = ["#f7f6e4", "#d9e8b5", "#a9d18c", "#6fb26a", "#479a59", "#2f8048"].map(rgb);
function rgb(hex) { return [1, 3, 5].map(k => parseInt(hex.slice(k, k + 2), 16)); }
function colour(table, share) {
  const place = Math.min(Math.max(share, 0), 1) * (table.length - 1), k = Math.min(Math.floor(place), table.length - 2), f = place - k;
  return table[k].map((one, c) => Math.round(one + f * (table[k + 1][c] - one)));
}
// value at a place in cells, linear between the middles of cells; NaN at the side of what is not known
function sample(map, base, x, y) {
  const cx = Math.min(Math.max(x, 0), nx - 1), cy = Math.min(Math.max(y, 0), ny - 1);
  const i = Math.min(Math.floor(cx), nx - 2), j = Math.min(Math.floor(cy), ny - 2), fx = cx - i, fy = cy - j;
  let total = 0, weight = 0;
  for (const [dj, di, w] of [[0, 0, (1 - fx) * (1 - fy)], [0, 1, fx * (1 - fy)], [1, 0, (1 - fx) * fy], [1, 1, fx * fy]]) {
    const value = map[base + (j + dj) * nx + i + di];
    if (value !== data.unknown) { total += w * value; weight += w; }
  }
  return weight < 0.5 ? NaN : total / weight;
}
function top(layers) {
  const peaks = layers.filter(Boolean).flatMap(one => one.peak.filter(p => p > 0)).sort((a, b) => a - b);
  return peaks.length ? peaks[Math.floor(0.95 * (peaks.length - 1))] : 1;
}
const cellOf = km => (km + data.half) / data.cell - 0.5;
function chlorophyllMap() {
  const found = data.chlorophyll; if (!found) return -1;
  let best = -1; found.days.forEach((day, k) => { if (day <= state.day) best = k; });
  return best >= 0 && state.day - found.days[best] <= Math.max(10, step(found.days)) ? best : -1;
}
function drawMap(canvas, layer, scale) {
  const size = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)) || 600;
  if (canvas.width !== size) { canvas.width = size; canvas.height = size; }
  const context = canvas.getContext("2d"), half = state.width, k = shown(layer), px = km => (km + half) / (2 * half) * size, py = km => size - px(km);
  context.fillStyle = "#fff"; context.fillRect(0, 0, size, size);
  const coarse = Math.min(size, 220), image = context.createImageData(coarse, coarse), chl = state.shade === "chlorophyll" ? chlorophyllMap() : -1;
  const peak = layer && k >= 0 ? layer.peak[k] || 0 : 0;
  for (let row = 0; row < coarse; row++) for (let column = 0; column < coarse; column++) {
    const east = ((column + 0.5) / coarse * 2 - 1) * half, north = (1 - (row + 0.5) / coarse * 2) * half;
    let paint = [255, 255, 255];
    if (state.shade === "chlorophyll") {
      const value = chl < 0 ? NaN : sample(data.chlorophyll.maps, chl * cells, cellOf(east), cellOf(north));
      paint = Number.isNaN(value) ? [232, 232, 232] : colour(greens, value / data.steps);
    } else if (peak) {
      const value = sample(layer.maps, k * cells, cellOf(east), cellOf(north)) / data.steps;
      paint = colour(ramp, value * value * peak / scale);
    }
    if (land) {
      const i = Math.floor((east + data.half) / (2 * data.half) * data.land[1]), j = Math.floor((north + data.half) / (2 * data.half) * data.land[0]);
      if (land[Math.min(j, data.land[0] - 1) * data.land[1] + Math.min(i, data.land[1] - 1)]) paint = [150, 150, 150];
    }
    image.data.set([...paint, 255], 4 * (row * coarse + column));
  }
  const small = document.createElement("canvas"); small.width = small.height = coarse;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true; context.drawImage(small, 0, 0, size, size);
  const unit = size / 600;
  context.font = Math.round(Math.max(13 * unit, 11 * (window.devicePixelRatio || 1))) + "px system-ui, sans-serif";
  // words that stay legible on dark colours
  const label = (text, x, y) => {
    context.save(); context.strokeStyle = "rgba(255,255,255,0.85)"; context.lineWidth = 4 * unit; context.lineJoin = "round";
    context.strokeText(text, x, y); context.restore(); context.fillText(text, x, y);
  };
  const tick = half > 250 ? 100 : half > 120 ? 50 : 25;
  context.lineWidth = unit; context.strokeStyle = "rgba(0,0,0,0.12)"; context.fillStyle = "#1b2631"; context.textAlign = "center";
  for (let km = -Math.floor(half / tick) * tick; km <= half; km += tick) {
    context.beginPath(); context.moveTo(px(km), 0); context.lineTo(px(km), size); context.moveTo(0, py(km)); context.lineTo(size, py(km)); context.stroke();
    if (Math.abs(km) < half * 0.9 && km !== 0 && (half / tick <= 4 || km % (2 * tick) === 0)) {
      if (px(km) < size - 7 * context.measureText("km").width) label(km, px(km), size - 6 * unit);
      context.textAlign = "left"; label(km, 5 * unit, py(km) + 4 * unit); context.textAlign = "center";
    }
  }
  context.textAlign = "right"; label("km east", size - 8 * unit, size - 6 * unit);
  context.textAlign = "left"; label("km north", 5 * unit, 18 * unit);
  if ($("boxes").checked) {
    for (const [paint, line, dash] of [["rgba(255,255,255,0.75)", 4, []], ["#8a4b00", 1.6, [6, 4]]]) {
      context.strokeStyle = paint; context.lineWidth = line * unit; context.setLineDash(dash.map(one => one * unit));
      for (const width of Object.values(data.boxes)) context.strokeRect(px(-width / 2), py(width / 2), px(width / 2) - px(-width / 2), py(-width / 2) - py(width / 2));
    }
    context.setLineDash([]);
  }
  if ($("contours").checked && peak) layer.contours[k].forEach((level, share) => {
    if (level === null) return;
    context.strokeStyle = "#fff"; context.lineWidth = (4.6 - share) * unit; contour(context, layer.maps, k * cells, level, px, py);
    context.strokeStyle = "#000"; context.lineWidth = (2.9 - 0.8 * share) * unit; contour(context, layer.maps, k * cells, level, px, py);
  });
  star(context, px(0), py(0), 9 * unit);
  if (!peak) { context.fillStyle = "#8a1c1c"; context.textAlign = "center"; context.fillText("no catchment of this model at this date", size / 2, 60 * unit); }
}
function star(context, x, y, radius) {
  context.beginPath();
  for (let k = 0; k < 10; k++) { const r = k % 2 ? radius * 0.42 : radius, a = k * Math.PI / 5; context.lineTo(x + r * Math.sin(a), y - r * Math.cos(a)); }
  context.closePath(); context.fillStyle = "#ffd23f"; context.fill(); context.strokeStyle = "#000"; context.lineWidth = radius / 7; context.stroke();
}
// marching squares between the middles of cells
function contour(context, map, base, level, px, py) {
  const at = (i, j) => i < 0 || j < 0 || i >= nx || j >= ny ? 0 : map[base + j * nx + i] === data.unknown ? 0 : map[base + j * nx + i];
  const km = cell => (cell + 0.5) * data.cell - data.half;
  context.beginPath();
  for (let j = -1; j < ny; j++) for (let i = -1; i < nx; i++) {
    const corner = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)], above = corner.map(v => v >= level);
    if (above.every(Boolean) || !above.some(Boolean)) continue;
    const place = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], cuts = [];
    for (let e = 0; e < 4; e++) {
      const f = (e + 1) % 4;
      if (above[e] === above[f]) continue;
      const t = (level - corner[e]) / (corner[f] - corner[e]);
      cuts.push([place[e][0] + t * (place[f][0] - place[e][0]), place[e][1] + t * (place[f][1] - place[e][1])]);
    }
    // a saddle: joined by the mean of its corners
    const pairs = cuts.length === 2 ? [[0, 1]] : (corner.reduce((a, b) => a + b) / 4 >= level) === above[0] ? [[0, 1], [2, 3]] : [[3, 0], [1, 2]];
    for (const [a, b] of pairs) { context.moveTo(px(km(cuts[a][0])), py(km(cuts[a][1]))); context.lineTo(px(km(cuts[b][0])), py(km(cuts[b][1]))); }
  }
  context.stroke();
}
function drawScale(scale) {
  const canvas = $("scale"), dpr = window.devicePixelRatio || 1, context = canvas.getContext("2d");
  canvas.width = 300 * dpr; canvas.height = 40 * dpr; context.scale(dpr, dpr); context.fillStyle = "#fff"; context.fillRect(0, 0, 300, 40);
  const chl = state.shade === "chlorophyll", table = chl ? greens : ramp;
  for (let k = 0; k < 280; k++) { context.fillStyle = "rgb(" + colour(table, k / 279) + ")"; context.fillRect(10 + k, 2, 1, 12); }
  context.strokeStyle = "#6b7885"; context.strokeRect(10, 2, 280, 12);
  context.fillStyle = "#1b2631"; context.font = "12px system-ui, sans-serif";
  const low = chl ? number(data.chlorophyll.low, 2) : "0", high = chl ? number(data.chlorophyll.high, 2) : number(100 * scale, 2);
  const unit = chl ? "chlorophyll, mg m⁻³ (logarithmic)" : "% of the particles in " + data.cell + " × " + data.cell + " km";
  context.textAlign = "left"; context.fillText(low, 10, 29); context.textAlign = "right"; context.fillText(high, 290, 29);
  context.textAlign = "center"; context.fillText(unit, 150, 29);
  canvas.setAttribute("aria-label", "Colours from " + low + " to " + high + ", " + unit);
}

// ---- words and numbers -----------------------------------------------------------------------------------------------
const fact = (layer, name) => { const k = shown(layer); return k < 0 || !layer.facts[name] ? null : layer.facts[name][k]; };
function sentence(layer) {
  const k = shown(layer);
  if (k < 0 || !layer.peak[k]) return "no catchment of this model at this date.";
  const date = constant(layer) ? "for all dates" : iso(layer.dates[k]);
  return layer.model + ", " + date + ": centre " + where(fact(layer, "east"), fact(layer, "north")) + "; half of the particles come from " +
    Math.round(fact(layer, "area") / 100) * 100 + " km²; the box of 192 km holds " + percent(fact(layer, "box200")) + ".";
}
const rows = [
  ["date of the map", l => { const k = shown(l); return k < 0 ? "–" : constant(l) ? "all" : iso(l.dates[k]); }],
  ["centre of the catchment", l => fact(l, "east") === null ? "–" : where(fact(l, "east"), fact(l, "north"))],
  ["area that half of the particles come from", l => fact(l, "area") === null ? "–" : number(fact(l, "area"), 3) + " km²"],
  ["held by the box of 96 km", l => percent(fact(l, "box100"))], ["held by the box of 192 km", l => percent(fact(l, "box200"))],
  ["within ±" + data.half + " km", l => percent(fact(l, "within"))],
  ["BL against the simulation", l => number(fact(l, "bl"), 2), "bl"], ["F against the simulation", l => percent(fact(l, "f")), "f"],
  ["spread of the members", l => number(fact(l, "spread"), 2), "spread"],
  ["chlorophyll in the catchment, mg m⁻³", l => number(fact(l, "chlorophyll"), 2), "chlorophyll"],
  ["to mind", l => { const flag = fact(l, "flag"), part = fact(l, "part"), words = data.flags.filter(([bit]) => flag & bit).map(one => one[1]);
    if (part !== null) words.push(data.parts[part]); return words.join("; ") || "–"; }, ["flag", "part"]],
].filter(([, , needs]) => !needs || data.layers.some(l => [needs].flat().some(name => l.facts[name] && l.facts[name].some(v => v !== null))));
function table() {
  const left = leftLayer(), right = rightLayer();
  $("name-left").textContent = state.left; $("name-right").textContent = state.right; $("name-right").hidden = !state.right;
  $("facts").tBodies[0].replaceChildren(...rows.map(([title, value]) => {
    const row = document.createElement("tr"), head = document.createElement("th"); head.scope = "row"; head.textContent = title; row.append(head);
    for (const one of state.right ? [left, right] : [left]) { const cell = document.createElement("td"); cell.textContent = one ? value(one) : "–"; row.append(cell); }
    return row;
  }));
}
function point() {
  const east = Number($("east").value), north = Number($("north").value), out = [];
  for (const layer of state.right ? [leftLayer(), rightLayer()] : [leftLayer()]) {
    const k = shown(layer);
    if (k < 0 || !layer.peak[k] || Math.max(Math.abs(east), Math.abs(north)) > data.half) continue;
    const value = sample(layer.maps, k * cells, cellOf(east), cellOf(north)), inside = data.shares.filter((s, n) => value >= layer.contours[k][n]);
    out.push(layer.model + ": " + number(100 * layer.peak[k] * (value / data.steps) ** 2, 2) + " % in " + data.cell + " × " + data.cell + " km, " +
      (inside.length ? "within the contour of " + 100 * inside[0] + " %" : "outside the contour of 75 %"));
  }
  $("point-out").textContent = (data.centre ? lonLat(east, north) + ". " : "") + (out.join(". ") || "outside the map");
}
function lonLat(east, north) { // azimuthal equidistant about the trap (Snyder 1987, section 25)
  const rad = Math.PI / 180, rho = Math.hypot(east, north), c = rho / 6371.315, lat0 = data.centre[1] * rad;
  const lat = rho ? Math.asin(Math.cos(c) * Math.sin(lat0) + north * Math.sin(c) * Math.cos(lat0) / rho) : lat0;
  const lon = data.centre[0] + (rho ? Math.atan2(east * Math.sin(c), rho * Math.cos(lat0) * Math.cos(c) - north * Math.sin(lat0) * Math.sin(c)) / rad : 0);
  const turned = ((lon + 180) % 360 + 360) % 360 - 180;
  return Math.abs(lat / rad).toFixed(2) + "° " + (lat < 0 ? "S" : "N") + ", " + Math.abs(turned).toFixed(2) + "° " + (turned < 0 ? "W" : "E");
}

// ---- charts ----------------------------------------------------------------------------------------------------------
const SVG = "http://www.w3.org/2000/svg";
function element(name, attributes, text) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== undefined) one.textContent = text;
  return one;
}
let span = [Infinity, -Infinity];
for (const layer of data.layers) for (const day of layer.dates) if (day !== null) span = [Math.min(span[0], day), Math.max(span[1], day)];
if (span[1] - span[0] < 1) span = [span[0] - 5, span[1] + 5];
function chart(title, series, cups) {
  const width = Math.max($("charts").clientWidth, 260), height = 130, left = 46, right = width - 8, topY = 22, bottom = height - 20;
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  const values = [...series.flatMap(one => one.values), ...(cups ? cups.values : [])].filter(v => v !== null && v !== undefined);
  if (!values.length) return null;
  const high = Math.max(...values) || 1, low = Math.min(0, ...values);
  const x = day => left + (day - span[0]) / (span[1] - span[0]) * (right - left), y = v => bottom - (v - low) / (high - low) * (bottom - topY);
  svg.setAttribute("aria-label", title + ", " + iso(span[0]) + " to " + iso(span[1]) + ": from " + number(Math.min(...values)) + " to " + number(high));
  svg.append(element("text", { x: left, y: 14 }, title));
  for (const v of [low, (low + high) / 2, high]) {
    svg.append(element("line", { x1: left, x2: right, y1: y(v), y2: y(v), stroke: "#d5dbe1" }));
    svg.append(element("text", { x: left - 5, y: y(v) + 4, "text-anchor": "end" }, number(v, 2)));
  }
  const marks = width < 500 ? 3 : 7;
  for (let k = 0; k < marks; k++) { const day = span[0] + (span[1] - span[0]) * k / (marks - 1);
    svg.append(element("text", { x: x(day), y: height - 4, "text-anchor": k === 0 ? "start" : k === marks - 1 ? "end" : "middle" }, iso(day).slice(0, 7))); }
  if (cups) cups.values.forEach((v, k) => {
    if (v === null || cups.close[k] < span[0] || cups.open[k] > span[1]) return;
    const from = x(Math.max(cups.open[k], span[0])), to = x(Math.min(cups.close[k], span[1]));
    svg.append(element("rect", { x: from, width: Math.max(to - from, 1), y: y(v), height: Math.max(bottom - y(v), 0), fill: "#b59a5b", stroke: "#6d5a2b", "stroke-width": 0.5 }));
  });
  for (const one of series) {
    let path = "", pen = false;
    one.days.forEach((day, k) => { const v = one.values[k]; if (v === null) { pen = false; return; } path += (pen ? "L" : "M") + x(day).toFixed(1) + " " + y(v).toFixed(1); pen = true; });
    svg.append(element("path", { d: path, fill: "none", stroke: one.colour, "stroke-width": 1.6, "stroke-dasharray": one.dash }));
  }
  svg.append(element("line", { class: "cursor", x1: x(state.day), x2: x(state.day), y1: topY, y2: bottom, stroke: "#1b2631", "stroke-width": 1.5 }));
  svg.addEventListener("click", event => {
    const box = svg.getBoundingClientRect(), day = span[0] + ((event.clientX - box.left) / box.width * width - left) / (right - left) * (span[1] - span[0]);
    go(nearest(leftLayer().dates, day, Infinity));
  });
  svg.dataset.left = left; svg.dataset.right = right;
  return svg;
}
function charts() {
  const layers = [[leftLayer(), "#0072B2", ""], [rightLayer(), "#B34700", "5 3"]].filter(([one]) => one && !constant(one));
  const series = get => layers.map(([one, colour, dash]) => ({ days: one.dates, values: get(one), colour, dash })).filter(one => one.values);
  const of = name => series(one => one.facts[name]);
  $("chart-key").textContent = layers.length > 1 ? "Full lines: " + layers[0][0].model + "; dashed lines: " + layers[1][0].model + "." : "";
  const distance = series(one => one.facts.east.map((e, k) => e === null ? null : Math.hypot(e, one.facts.north[k])));
  const drawn = [chart("distance of the centre from the trap, km", distance)];
  if (of("bl").length) drawn.push(chart("BL against the simulation (valid below 0.3)", of("bl")));
  if (of("spread").some(one => one.values.some(v => v > 0))) drawn.push(chart("spread of the members", of("spread")));
  if (data.flux) drawn.push(chart("flux of the trap, " + $("variable").value.replace("_", " ") + ", mg m⁻² d⁻¹", [], { ...data.flux, values: data.flux.values[$("variable").value] }));
  if (of("chlorophyll").length) drawn.push(chart("chlorophyll in the catchment, mg m⁻³", of("chlorophyll")));
  $("charts").replaceChildren(...drawn.filter(Boolean));
}
function cursors() {
  for (const svg of $("charts").children) {
    const left = Number(svg.dataset.left), right = Number(svg.dataset.right), x = left + (state.day - span[0]) / (span[1] - span[0]) * (right - left);
    const line = svg.querySelector(".cursor"); line.setAttribute("x1", x); line.setAttribute("x2", x);
  }
}

// ---- all together ----------------------------------------------------------------------------------------------------
let timer = null;
function draw(everything) {
  const left = leftLayer(), right = rightLayer(), scale = top([left, right]);
  $("stage").classList.toggle("one", !state.right); $("right-figure").hidden = !state.right;
  drawMap($("map-left"), left, scale); if (state.right) drawMap($("map-right"), right, scale);
  for (const [side, layer, model] of [["left", left, state.left], ["right", right, state.right]]) {
    const words = layer ? sentence(layer) : model + ": no maps at this speed and level.";
    $("map-" + side).setAttribute("aria-label", "Map of the catchment. " + words);
    $("caption-" + side).textContent = model + (layer && shown(layer) >= 0 && !constant(layer) ? ", " + iso(layer.dates[shown(layer)]) : "");
  }
  drawScale(scale); table(); point();
  $("status").textContent = speedWords(state.speed) + ", " + levelWords(state.level) + ". " + sentence(left) +
    (state.right ? " Beside it: " + (right ? sentence(right) : "no maps of " + state.right + " at this speed and level.") : "");
  if (everything) charts(); else cursors();
}
function sliders() {
  const layer = leftLayer(), k = Math.max(nearest(layer.dates, state.day, Infinity), 0), levels = levelsOf(state.speed);
  state.day = layer.dates[k];
  $("date").max = layer.dates.length - 1; $("date").value = k;
  $("speed").value = speeds.indexOf(state.speed); $("level").max = levels.length - 1; $("level").value = levels.indexOf(state.level);
  for (const [id, words] of [["date", iso(state.day)], ["speed", speedWords(state.speed)], ["level", levelWords(state.level)]]) {
    $(id + "-out").textContent = words; $(id).setAttribute("aria-valuetext", words);
  }
}
function go(k) {
  const dates = leftLayer().dates; if (k < 0) return;
  state.day = dates[Math.min(k, dates.length - 1)]; sliders(); draw(false);
}
function choose() {
  const levels = levelsOf(state.speed);
  if (!levels.includes(state.level)) state.level = levels.reduce((a, b) => Math.abs(b - state.level) < Math.abs(a - state.level) ? b : a);
  if (!leftLayer()) state.left = data.layers.find(l => l.speed === state.speed && l.level === state.level && !constant(l)).model;
  $("left").value = state.left; sliders(); draw(true);
}
function stop() { clearInterval(timer); timer = null; $("play").textContent = "Play"; $("play").setAttribute("aria-pressed", "false"); $("status").setAttribute("aria-live", "polite"); }
$("date").addEventListener("input", () => go(Number($("date").value)));
$("earlier").addEventListener("click", () => go(Math.max(Number($("date").value) - 1, 0)));
$("later").addEventListener("click", () => go(Number($("date").value) + 1));
$("play").addEventListener("click", () => {
  if (timer) { stop(); return; }
  $("play").textContent = "Stop"; $("play").setAttribute("aria-pressed", "true"); $("status").setAttribute("aria-live", "off");
  timer = setInterval(() => { const k = Number($("date").value) + 1; if (k > Number($("date").max)) stop(); else go(k); }, 400);
});
$("speed").addEventListener("input", () => { state.speed = speeds[Number($("speed").value)]; choose(); });
$("level").addEventListener("input", () => { state.level = levelsOf(state.speed)[Number($("level").value)]; choose(); });
for (const id of ["left", "right", "shade"]) $(id).addEventListener("change", () => { state[id] = $(id).value; choose(); });
$("width").addEventListener("change", () => { state.width = Number($("width").value); draw(false); });
for (const id of ["contours", "boxes"]) $(id).addEventListener("change", () => draw(false));
for (const id of ["east", "north"]) $(id).addEventListener("input", point);
for (const side of ["left", "right"]) for (const kind of ["pointermove", "pointerdown"]) $("map-" + side).addEventListener(kind, event => {
  const box = event.currentTarget.getBoundingClientRect();
  $("east").value = Math.round(((event.clientX - box.left) / box.width * 2 - 1) * state.width);
  $("north").value = Math.round((1 - (event.clientY - box.top) / box.height * 2) * state.width); point();
});
for (const name of Object.keys(data.flux ? data.flux.values : {})) option($("variable"), name, name.replace("_", " "));
$("variable").addEventListener("change", charts);
$("controls").addEventListener("submit", event => event.preventDefault());
function save(name, blob) { const link = document.createElement("a"); link.href = URL.createObjectURL(blob); link.download = name; link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1e4); }
$("save-map").addEventListener("click", () => {
  const sides = state.right ? ["left", "right"] : ["left"], size = $("map-left").width, unit = size / 600, whole = document.createElement("canvas");
  whole.width = size * sides.length; whole.height = size + 34 * unit;
  const context = whole.getContext("2d"); context.fillStyle = "#fff"; context.fillRect(0, 0, whole.width, whole.height); context.fillStyle = "#1b2631";
  context.font = Math.round(17 * unit) + "px system-ui, sans-serif";
  sides.forEach((side, k) => { context.drawImage($("map-" + side), k * size, 34 * unit);
    context.fillText($("caption-" + side).textContent + ", " + speedWords(state.speed) + ", " + levelWords(state.level), k * size + 8 * unit, 23 * unit); });
  whole.toBlob(blob => save("catchment_" + iso(state.day) + ".png", blob));
});
function csv() {
  const names = unique(data.layers.flatMap(one => Object.keys(one.facts))), quoted = text => '"' + String(text).replaceAll('"', '""') + '"';
  const lines = [["model", "sinking_speed_m_per_day", "level_m", "date", ...names].join(",")];
  for (const layer of data.layers) layer.dates.forEach((day, k) => lines.push([quoted(layer.model), layer.speed, layer.level, day === null ? "" : iso(day),
    ...names.map(name => layer.facts[name] && layer.facts[name][k] !== null ? layer.facts[name][k] : "")].join(",")));
  return lines.join("\n") + "\n";
}
$("save-numbers").addEventListener("click", () => save("catchments.csv", new Blob([csv()], { type: "text/csv" })));
let resizing = null;
window.addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => draw(true), 150); });
// a day that no network has seen, where there is one
const judged = data.layers.find(one => one.facts.part), unseen = judged ? judged.facts.part.findIndex(part => part === 2 || part === 4) : -1;
state.day = unseen >= 0 ? judged.dates[unseen] : leftLayer().dates[0];
choose();
document.documentElement.dataset.ready = "yes";
})();
