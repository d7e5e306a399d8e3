// What a page answers when it is asked: values under the pointer, designs switched off everywhere, tables sorted and
// filtered, pictures zoomed and taken away. Without it the page reads the same. Whatever it shows is text of the page.
"use strict";
(() => {
const NS = "http://www.w3.org/2000/svg", FIRST = 10, PLOT = "svg.plot", MARKED = `${PLOT} :has(> title)`;
const all = (what, where = document) => [...where.querySelectorAll(what)];
function make(tag, text, attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
function button(text, does, attributes = {}) {
  const made = make("button", text, {type: "button", ...attributes});
  made.addEventListener("click", () => does(made));
  return made;
}

// Values: the title of a mark, at once, for the pointer and for the keyboard; marks of the same launch stand out.
const tip = make("div", "", {class: "tip", role: "status", hidden: ""});
const said = mark => mark.dataset.about || "";
const LAUNCHES = /\b(?:launch(?:es)?|pairs?|blocks?) (\d+)(?:–(\d+))?/;
function launches(mark) {  // the first and the last of those it joins, or null
  const found = said(mark).match(LAUNCHES);
  return found && [+found[1], +(found[2] || found[1])];
}
let shown = null;
function show(mark) {
  if (mark === shown) return;
  for (const one of all(".linked, .current")) one.classList.remove("linked", "current");
  shown = mark;
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = said(mark);
  mark.classList.add("current");
  const own = launches(mark);
  for (const one of own ? all(`${PLOT} .mark`) : []) {
    const its = launches(one);
    if (its && its[0] <= own[1] && own[0] <= its[1]) one.classList.add("linked");
  }
  const at = mark.getBoundingClientRect(), size = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(innerWidth - size.width - 4, at.left + at.width / 2 - size.width / 2))}px`;
  tip.style.top = `${at.top > size.height + 12 ? at.top - size.height - 8 : at.bottom + 8}px`;
}
function values(svg) {
  const marks = all(":has(> title)", svg);
  for (const mark of marks) {
    mark.dataset.about = mark.querySelector("title").textContent;  // not a name: a screen reader hears the tip
    mark.querySelector("title").remove();  // or the browser shows it a second time
  }
  if (!marks.length) return;
  svg.tabIndex = 0;
  svg.setAttribute("role", "application");  // or screen readers keep the arrow keys to themselves
  svg.setAttribute("aria-description", "Arrow keys go from value to value; + and − zoom, 0 shows all.");
  svg.addEventListener("pointerover", event => show(event.target.closest("[data-about]")));
  svg.addEventListener("pointerleave", () => show(null));
  svg.addEventListener("blur", () => show(null));
  svg.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === "Escape") show(null);
    if (!step) return;
    event.preventDefault();
    const seen = marks.filter(mark => !mark.closest(".off"));
    if (seen.length) show(seen[(seen.indexOf(shown) + step + seen.length) % seen.length] || seen[0]);
  });
}

// Scales. Along an axis a value has a place in the picture; a window of places is drawn over all of the axis.
function axis(spec) {  // start, end, low, high, by ratios or not, how values are written
  const words = spec.split(" "), [start, end, low, high, log] = words.map(Number);
  const into = log ? Math.log : v => v, out = log ? Math.exp : v => v, first = into(low), last = into(high);
  return {
    start, end, log, low, high, says: words[5],
    place: v => start + (end - start) * (into(v) - first) / (last - first),
    value: p => out(first + (last - first) * (p - start) / (end - start)),
  };
}
function digits(v) {
  const size = Math.abs(v);
  if (size >= 99.95 || !v) return Math.round(v).toLocaleString("en");
  return size >= 0.9995 ? v.toPrecision(3) : String(+v.toPrecision(3));
}
const scaled = (v, sizes) => {
  const [size, unit] = sizes.find(([size]) => Math.abs(v) >= size * 0.9995) || sizes.at(-1);
  return (unit.endsWith("s") ? String(+(v / size).toPrecision(3)) : digits(v / size)) + unit;
};
const SAYS = {  // as stress.show.units has them
  plain: v => String(+v.toPrecision(4)),
  rate: v => scaled(v, [[1e9, " G"], [1e6, " M"], [1e3, " k"], [1, ""]]),
  count: v => Number.isInteger(v) ? v.toLocaleString("en") : "",
  percent: v => `${+(100 * v).toPrecision(3)} %`,
  ns: v => scaled(v, [[1e9, " s"], [1e6, " ms"], [1e3, " µs"], [1, " ns"]]),
  change: v => Math.abs(v - 1) < 1e-9 ? "as before" : `${v < 1 ? "−" : "+"}${Math.abs(100 * (v - 1)).toFixed(1)} %`,
  times: v => `×${+v.toPrecision(3)}`,
};
function even(low, high, about) {  // round values, 1, 2 or 5 times a power of ten apart
  const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(f => f * power >= rough * 0.999), found = [];
  const last = Math.floor(high / step + 1e-9);
  for (let i = Math.ceil(low / step - 1e-9); i <= last; i++) found.push(+(i * step).toPrecision(12));
  return found;
}
function ticks(low, high, log) {
  if (!log || high / low < 8) return even(low, high, 5);
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
    for (const f of high / low < 200 ? [1, 2, 5] : [1]) found.push(f * 10 ** power);
  return found.filter(v => v >= low && v <= high);
}
const set = (e, values) => { for (const [name, v] of Object.entries(values)) e.setAttribute(name, v); };
function drawn(tag, values, text = "") {
  const made = document.createElementNS(NS, tag);
  set(made, values);
  made.textContent = text;
  return made;
}
const design = e => [...e.classList].some(name => /^n\d+$/.test(name));
const inside = (v, a, b) => Math.min(Math.max(v, Math.min(a, b)), Math.max(a, b));

// Zoom: a window of the picture's width. Fit: the scale upwards (of ratios with a row each, the one across) follows the
// designs that are shown.
function chart(svg) {
  const {across, up, along, keep} = svg.dataset, x = axis(across || along), fits = axis(up || along), upright = !along;
  const ATTRIBUTES = ["cx", "cy", "x", "y", "x1", "x2", "y1", "y2", "width", "height"];
  const shapes = all("circle, rect, polygon, polyline, line", svg).filter(e => !e.matches(".level")).map(e => {
    const was = {own: design(e)};
    for (const name of ATTRIBUTES) was[name] = +e.getAttribute(name);
    if (e.hasAttribute("points")) {
      was.points = e.getAttribute("points").split(" ").map(point => point.split(",").map(Number));
      [was.cx, was.cy] = [0, 1].map(i => {
        const places = was.points.map(point => point[i]);
        return (Math.min(...places) + Math.max(...places)) / 2;
      });
    } else if (e.tagName === "rect") [was.cx, was.cy] = [was.x + was.width / 2, was.y + was.height / 2];
    else if (e.tagName === "line") [was.cx, was.cy] = [(was.x1 + was.x2) / 2, (was.y1 + was.y2) / 2];
    return {e, was};
  });
  const levels = all(".level", svg), labels = all("text.across", svg);
  const model = {line: levels.find(e => e.tagName === "line"), text: levels.find(e => e.tagName === "text"),
    one: levels.some(e => e.matches(".axis"))};  // a line for what is as before
  const kept = (keep || "").split(" ").filter(Boolean).map(v => fits.place(+v));
  let from = x.start, to = x.end, first = fits.start, last = fits.end;
  const window_ = p => x.start + (p - from) * (x.end - x.start) / (to - from);
  const fit_ = p => fits.start + (p - first) * (fits.end - fits.start) / (last - first);
  const toX = p => upright ? window_(p) : fit_(p), toY = p => upright ? fit_(p) : p;
  let clip = "";
  function clipped() {  // made when it is first needed
    if (!clip) {
      const path = drawn("clipPath", {id: `clip${all("clipPath").length}`});
      path.append(drawn("rect", {x: x.start - 6, y: -20, width: x.end - x.start + 12, height: 1000}));
      svg.prepend(path);
      clip = path.id;
    }
    return `url(#${clip})`;
  }
  function move({e, was}) {
    const tag = e.tagName, level = tag === "line" && was.x1 <= x.start && was.x2 >= x.end;
    if (e.matches(".band")) {
      const [a, b] = upright ? [was.y, was.y + was.height] : [was.x, was.x + was.width];
      const [low, high] = [a, b].map(p => inside(fit_(p), fits.start, fits.end));
      set(e, upright ? {y: low, height: Math.max(0, high - low)} : {x: low, width: Math.max(0, high - low)});
      return;
    }
    if (!was.own) {  // lines of the grid
      if (upright && !level) set(e, {x1: toX(was.x1), x2: toX(was.x2)});
    } else if (tag === "polyline") set(e, {points: was.points.map(([a, b]) => `${toX(a)},${toY(b)}`).join(" ")});
    else if (tag === "line" && !e.matches(".cap"))
      set(e, {...!level && {x1: toX(was.x1), x2: toX(was.x2)}, y1: toY(was.y1), y2: toY(was.y2)});
    else {  // a mark goes along as it is
      const dx = toX(was.cx) - was.cx, dy = toY(was.cy) - was.cy;
      if (tag === "circle") set(e, {cx: was.cx + dx, cy: was.cy + dy});
      else if (tag === "rect") set(e, {x: was.x + dx, y: was.y + dy});
      else if (tag === "line") set(e, {x1: was.x1 + dx, x2: was.x2 + dx, y1: was.y1 + dy, y2: was.y2 + dy});
      else set(e, {points: was.points.map(([a, b]) => `${a + dx},${b + dy}`).join(" ")});
    }
    if (level) return;
    if (from <= x.start && to >= x.end) e.removeAttribute("clip-path"); else e.setAttribute("clip-path", clipped());
  }
  function grid() {  // lines of the scale that follows, with their texts
    const whole = first === fits.start && last === fits.end;
    for (const one of all(".fitted", svg)) one.remove();
    for (const one of levels) one.style.display = whole ? "" : "none";
    if (whole || !model.line) return;
    let taken = [];
    for (const v of ticks(fits.value(first), fits.value(last), fits.log)) {
      const at = fit_(fits.place(v)), text = SAYS[fits.says](v), half = upright ? 7 : 3.3 * text.length + 2;
      const line = model.line.cloneNode();
      set(line, upright ? {y1: at, y2: at} : {x1: at, x2: at});
      line.style.display = "";
      line.setAttribute("class", `${model.one && Math.abs(v - 1) < 1e-9 ? "axis" : "grid"} fitted`);
      model.line.before(line);
      const place = upright ? at : inside(at, half, 360 - half);
      if (!text || taken.some(other => Math.abs(other.place - place) < other.half + half)) continue;
      taken.push({place, half});
      const said = model.text.cloneNode();
      set(said, upright ? {y: at + 4} : {x: place});
      said.style.display = "";
      said.setAttribute("class", "fitted");
      said.textContent = text;
      svg.append(said);
    }
  }
  function below() {  // texts under the picture
    const whole = from <= x.start && to >= x.end;
    for (const one of all(".zoomed", svg)) one.remove();
    for (const e of labels) {
      e.dataset.at ||= e.getAttribute("x");
      const at = window_(+e.dataset.at);
      if (x.log) e.setAttribute("x", at);
      e.style.display = whole || (x.log && at >= x.start && at <= x.end) ? "" : "none";
    }
    for (const e of all("text.break", svg)) {
      e.dataset.at ||= e.getAttribute("x");
      const at = window_(+e.dataset.at);
      e.setAttribute("x", at);
      e.style.display = at >= x.start && at <= x.end ? "" : "none";
    }
    if (whole || x.log || !labels.length) return;
    for (const v of even(x.value(from), x.value(to), 5))
      svg.append(drawn("text", {x: window_(x.place(v)), y: labels[0].getAttribute("y"), "text-anchor": "middle",
        class: "zoomed"}, String(+v.toPrecision(6))));
  }
  function draw() {
    shapes.forEach(move);
    grid();
    if (upright) below();
  }
  const ends = {  // where what is shown begins and ends along the scale, as shares of it
    spec: up || along,
    seen() {
      const own = shapes.filter(({e, was}) => was.own && !e.matches(".cap, .off, .off *"));
      const [one, two, middle, index] = upright ? ["y1", "y2", "cy", 1] : ["x1", "x2", "cx", 0];
      const places = own.flatMap(({e, was}) => e.tagName === "polyline" ? was.points.map(point => point[index])
        : e.tagName === "line" ? [was[one], was[two]] : [was[middle]]);
      return places.length ? [...places, ...kept].map(p => (p - fits.start) / (fits.end - fits.start)) : [];
    },
    follow(low, high) {
      const at = share => fits.start + (fits.end - fits.start) * share;
      [first, last] = [at(low), at(high)];
      draw();
    },
  };
  if (!across) return {ends, buttons: null};
  function window(start, width) {
    width = Math.min(x.end - x.start, Math.max((x.end - x.start) / 200, width));
    from = Math.min(x.end - width, Math.max(x.start, start));
    to = from + width;
    show(null);
    draw();
  }
  const by = (factor, at = (from + to) / 2) => window(at - (at - from) * factor, (to - from) * factor);
  const under = event => {
    const box = svg.getBoundingClientRect(), place = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    return from + (place - x.start) * (to - from) / (x.end - x.start);
  };
  svg.addEventListener("wheel", event => {
    if (!event.ctrlKey && document.activeElement !== svg) return;  // the page scrolls, unless the picture was chosen
    event.preventDefault();
    by(event.deltaY < 0 ? 0.8 : 1.25, under(event));
  }, {passive: false});
  let grip = null;
  svg.addEventListener("pointerdown", event => { grip = to - from < x.end - x.start ? under(event) : null; });
  svg.addEventListener("pointermove", event => {
    if (grip !== null && event.buttons) window(from + grip - under(event), to - from);
  });
  addEventListener("pointerup", () => { grip = null; });
  svg.addEventListener("keydown", event => {
    if (event.key === "+" || event.key === "=") by(0.5);
    else if (event.key === "-") by(2);
    else if (event.key === "0") window(x.start, x.end - x.start);
  });
  svg.addEventListener("dblclick", () => window(x.start, x.end - x.start));
  return {ends, buttons: [
    button("+", () => by(0.5), {"aria-label": "Zoom in"}), button("−", () => by(2), {"aria-label": "Zoom out"}),
    button("◂", () => window(from - (to - from) / 2, to - from), {"aria-label": "Earlier"}),
    button("▸", () => window(from + (to - from) / 2, to - from), {"aria-label": "Later"})]};
}
const charts = new Map();  // of pictures that have scales
function follow(following) {  // pictures that had one scale keep having one
  const groups = new Map();
  for (const {ends} of charts.values()) groups.set(ends.spec, [...groups.get(ends.spec) || [], ends]);
  for (const group of groups.values()) {
    const shares = following ? group.flatMap(one => one.seen()) : [];
    const low = Math.min(1, ...shares), high = Math.max(0, ...shares), room = (high - low) * 0.06 || 0.05;
    for (const one of group)
      if (shares.length) one.follow(low < 0.001 ? 0 : Math.max(0, low - room), Math.min(1, high + room));
      else one.follow(0, 1);
  }
}

// Rows: where a design is switched off what is below moves up, and bars follow the longest that is left.
function rows(svg, following) {
  const box = svg.viewBox.baseVal, shift = (e, by) => e.setAttribute("transform", `translate(0 ${-by})`);
  svg.dataset.height ||= box.height;
  let gone = 0, began = 0;
  for (const e of all(".row, .bars > .title, .bars > .axis", svg)) {
    shift(e, gone);
    if (e.matches(".axis")) e.dataset.y2 ||= e.getAttribute("y2");
    if (e.matches(".row.off")) gone += +e.dataset.height;
    const group = e.parentNode;
    if (e.matches(".bars > :last-child")) for (const line of all(":scope > .axis", group))
      line.setAttribute("y2", line.dataset.y2 - (gone - began)), began = gone;
  }
  for (const group of all(".bars", svg)) {
    const own = all(".row", group), worth = row => all("rect", row).reduce((sum, rect) => sum + +rect.dataset.value, 0);
    const most = Math.max(...own.filter(row => !following || !row.matches(".off")).map(worth)) || 1;
    for (const row of own) {
      let at = +group.dataset.from;
      for (const rect of all("rect", row)) {
        const long = group.dataset.room * rect.dataset.value / most;
        set(rect, {x: at, width: Math.max(1, long)});
        at += long;
      }
      row.querySelector(".sum").setAttribute("x", at + 5);
    }
  }
  if (svg.dataset.along) for (const e of svg.children) {
    if (e.matches("line")) e.setAttribute("y2", (e.dataset.y2 ||= e.getAttribute("y2")) - gone);
    else if (e.matches(".band")) e.setAttribute("height", (e.dataset.tall ||= e.getAttribute("height")) - gone);
    else if (e.matches("text")) shift(e, gone);
  }
  svg.setAttribute("viewBox", `0 0 ${box.width} ${svg.dataset.height - gone}`);
}

// Tables: sorted by a column, filtered by words, ten rows first.
const redraw = [];  // functions
const cells = row => [...row.cells].map(cell => cell.textContent.trim());
const UNITS = {ns: 1e-9, "µs": 1e-6, ms: 1e-3, k: 1e3, M: 1e6, G: 1e9};
function number(text) {
  const found = text.replace(/,/g, "").replace("−", "-").match(/^(-?[\d.]+)\s*(ns|µs|ms|[kMG]\b)?/);
  return found ? found[1] * (UNITS[found[2]] || 1) : NaN;
}
function order(a, b) {
  const x = number(a), y = number(b);
  return isNaN(x) || isNaN(y) ? a.localeCompare(b) : x - y;
}
function table(holder) {
  const grid = holder.querySelector("table"), body = grid.tBodies[0], rows = [...body.rows];
  if (rows.some(row => row.classList.contains("group"))) return;
  let words = "", whole = rows.length <= FIRST + 2;
  const more = button("", () => { whole = true; draw(); });
  function draw() {
    const fit = [...body.rows].filter(row => !row.matches(".off") && row.textContent.toLowerCase().includes(words));
    for (const row of body.rows) {
      row.hidden = !fit.includes(row);
      row.classList.toggle("folded", !whole && fit.indexOf(row) >= FIRST);
    }
    more.hidden = whole || fit.length <= FIRST;
    more.textContent = `All ${fit.length} rows`;
  }
  [...grid.tHead.rows[0].cells].forEach((head, column) => {
    if (rows.length < 3 || !head.textContent) return;
    const text = [...head.childNodes];
    const sort = button("", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const one of grid.tHead.rows[0].cells) one.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort((a, b) => order(cells(a)[column], cells(b)[column]) * (down ? -1 : 1)));
      draw();
    }, {class: "sort"});
    sort.append(...text);
    head.append(sort);
  });
  redraw.push(draw);
  // A filter over few rows is only in the way; but runs come to be many, and theirs is always at the same place.
  if (rows.length > FIRST + 2 || (holder.matches(".runs") && rows.length > 1)) {
    const filter = make("input", "", {type: "search", placeholder: "filter rows", "aria-label": "Filter rows"});
    filter.addEventListener("input", () => { words = filter.value.toLowerCase(); draw(); });
    holder.before(filter);
  }
  holder.after(more);
  draw();
}

// Taking a picture away: as SVG with the colours that it has here, and its numbers as CSV and Markdown.
function save(name, kind, text) {
  const link = make("a", "", {download: name, href: URL.createObjectURL(new Blob([text], {type: kind}))});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
const DRAWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "display", "font", "paint-order"];
function standalone(svg) {
  const copy = svg.cloneNode(true), mine = [svg, ...all("*", svg)], theirs = [copy, ...all("*", copy)];
  mine.forEach((one, i) => {
    const style = getComputedStyle(one);
    for (const name of DRAWN) theirs[i].style.setProperty(name, style.getPropertyValue(name));
    if (!said(one)) return;
    const title = document.createElementNS(NS, "title");
    title.textContent = said(one);
    theirs[i].append(title);
  });
  copy.setAttribute("xmlns", NS);
  copy.style.background = getComputedStyle(svg.closest("figure")).backgroundColor;
  return new XMLSerializer().serializeToString(copy);
}
const quoted = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const lines = grid => [...grid.rows].map(cells);
const csv = grid => lines(grid).map(row => row.map(quoted).join(",") + "\n").join("");
const piped = row => `| ${row.map(text => text.replaceAll("|", "\\|")).join(" | ")} |\n`;
function markdown(grid) {
  const [head, ...rows] = lines(grid);
  return piped(head) + `|${"---|".repeat(head.length)}\n` + rows.map(piped).join("");
}
function tools(figure) {
  const title = figure.dataset.name || figure.querySelector("h3")?.textContent;
  const caption = figure.querySelector("figcaption");
  if (!title || !caption) return;
  const name = title.toLowerCase().replace(/[^a-z0-9.]+/g, "-");
  const bar = make("div", "", {class: "tools"}), grid = figure.querySelector("table"), drawings = all(PLOT, figure);
  const zooms = drawings.filter(svg => svg.dataset.across).map(svg => charts.get(svg).buttons);
  if (zooms.length) ["Zoom in", "Zoom out", "Earlier", "Later"].forEach((label, i) =>
    bar.append(button(zooms[0][i].textContent, () => zooms.forEach(one => one[i].click()), {"aria-label": label})));
  const file = i => `${name}${i ? `-${i + 1}` : ""}.svg`;
  bar.append(button("SVG", () => drawings.forEach((svg, i) => save(file(i), "image/svg+xml", standalone(svg)))));
  if (grid) bar.append(button("CSV", () => save(`${name}.csv`, "text/csv", csv(grid))),
    button("Markdown", () => save(`${name}.md`, "text/markdown", markdown(grid))));
  caption.after(bar);
}

// Designs: one switch for each, for all pictures and tables at once.
function designs(names) {
  const bar = make("nav", "", {class: "designs", "aria-label": "What is shown"});
  const pressed = one => one.getAttribute("aria-pressed") === "true";
  const press = one => one.setAttribute("aria-pressed", String(!pressed(one)));
  const switches = names.map((name, i) => {
    const swatch = document.querySelector(`svg.swatch .n${i}`);
    const made = button("", self => { press(self); draw(); }, {"aria-pressed": "true", class: `d${i % 8}`});
    made.append(...(swatch ? [swatch.closest("svg").cloneNode(true)] : []), name);
    return made;
  });
  const scales = button("scales follow", self => { press(self); draw(); }, {
    "aria-pressed": "true", class: "scales", hidden: "",
    title: "Scales fit what is shown; otherwise all designs, also those that are switched off"});
  function cells(grid, off) {  // columns and rows of designs
    const heads = grid.tHead ? [...grid.tHead.rows[0].cells].map(head => head.textContent.trim()) : [];
    heads.forEach((head, i) => {
      const name = head.replace(/ \(before\)$/, "");
      for (const row of names.includes(name) ? grid.rows : [])
        if (row.cells[i]) row.cells[i].hidden = off.includes(name);
    });
    const column = heads.indexOf("design");
    let group = "";  // the design that a row above them names
    for (const row of grid.tBodies[0].rows) {
      const text = row.cells[0].textContent;
      if (row.matches(".group")) group = text;
      const own = column < 0 ? text.match(/^(.*?): /)?.[1] : row.cells[column]?.textContent;
      row.classList.toggle("off", off.includes(own) || off.includes(group));
    }
  }
  function draw() {
    const off = names.filter((_, i) => !pressed(switches[i]));
    names.forEach((name, i) => {
      for (const e of all(`${PLOT}.n${i}, ${PLOT} .n${i}`)) e.classList.toggle("off", off.includes(name));
      for (const e of all(`.legend .n${i}`)) e.closest("li").classList.toggle("off", off.includes(name));
    });
    all("table").forEach(grid => cells(grid, off));
    redraw.forEach(again => again());
    const following = pressed(scales);
    for (const svg of all(PLOT)) if (svg.querySelector(".row")) rows(svg, following);
    follow(following && off.length > 0);
    scales.hidden = !off.length;
  }
  bar.append(...switches, scales);
  document.querySelector("header").after(bar);
}

// Runs: two that are chosen stand side by side, with what differs first.
function pairs(runs) {
  const chosen = [], place = make("div", "", {class: "table words", "aria-live": "polite"});
  const holder = document.querySelector(".runs");
  function draw() {
    place.replaceChildren();
    if (chosen.length < 2) return;
    const [a, b] = chosen.map(id => new Map(runs[id]));
    const every = [...new Set([...a.keys(), ...b.keys()])];
    const rows = every.map(name => [name, a.get(name) || "–", b.get(name) || "–"]);
    rows.sort((x, y) => (x[1] === x[2]) - (y[1] === y[2]));
    const head = make("tr", "", {}, make("td"), ...chosen.map(id => make("th", id, {scope: "col"})));
    const lines = rows.map(([name, ...both]) =>
      make("tr", "", {}, make("th", name, {scope: "row"}), ...both.map(text => make("td", text))));
    place.append(make("table", "", {}, make("thead", "", {}, head), make("tbody", "", {}, ...lines)));
  }
  for (const row of all("tbody tr", holder)) {
    const id = row.cells[0].textContent, box = make("input", "", {type: "checkbox", "aria-label": `Compare ${id}`});
    box.addEventListener("change", () => {
      if (box.checked) chosen.push(id); else chosen.splice(chosen.indexOf(id), 1);
      while (chosen.length > 2) {
        const first = `Compare ${chosen.shift()}`;
        for (const one of all("input:checked", holder)) one.checked &&= one.getAttribute("aria-label") !== first;
      }
      draw();
    });
    row.cells[0].prepend(box);
  }
  holder.parentNode.append(place);
}

all(PLOT).forEach(values);
for (const svg of all(`${PLOT}[data-up], ${PLOT}[data-along]`)) charts.set(svg, chart(svg));
all(".table").forEach(table);
all("figure").forEach(tools);
const names = JSON.parse(document.body.dataset.designs || "[]");
if (names.length > 1) designs(names);
if (document.body.dataset.runs) pairs(JSON.parse(document.body.dataset.runs));
document.body.append(tip);
addEventListener("scroll", () => show(null), {passive: true});
})();
