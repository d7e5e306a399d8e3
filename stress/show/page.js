// What a page answers when it is asked: values under the pointer, designs switched off everywhere, tables sorted and
// filtered, pictures zoomed and taken away. Without it the page reads the same. Whatever it shows is text of the page.
"use strict";
(() => {
const NS = "http://www.w3.org/2000/svg", FIRST = 10, PLOT = "svg.plot", MARKED = `${PLOT} :has(> title)`;
const ABSCISSA = /([\d.eE+-]+),/g;
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
    const seen = marks.filter(mark => getComputedStyle(mark).display !== "none");
    if (seen.length) show(seen[(seen.indexOf(shown) + step + seen.length) % seen.length] || seen[0]);
  });
}

// Zoom: a window of the picture's width is drawn over all of it.
function zoomed(svg) {
  const [left, right, low, high, log] = svg.dataset.across.split(" ").map(Number);
  const kept = e => Object.fromEntries(["cx", "x", "x1", "x2", "points"].map(name => [name, e.getAttribute(name)]));
  const moved = all("circle, rect:not(.band), polygon, polyline, line:not(.typical), text:not(.note)", svg)
    .map(e => ({e, tag: e.tagName, was: kept(e)}));
  const level = ({tag, was}) => tag === "line" && +was.x1 <= left && +was.x2 >= right;
  const across = moved.filter(one => one.tag !== "text" && !level(one));
  const labels = moved.filter(({tag, e}) => tag === "text" && e.classList.contains("across"));
  let from = left, to = right;
  const place = x => left + (x - from) * (right - left) / (to - from);
  const value = x => low + (high - low) * (x - left) / (right - left);
  const where = v => left + (right - left) * (v - low) / (high - low);
  let clip = "";
  function clipped() {  // made when it is first needed
    if (!clip) {
      const path = document.createElementNS(NS, "clipPath"), box = document.createElementNS(NS, "rect");
      clip = path.id = `clip${all("clipPath").length}`;
      const room = {x: left - 6, y: -20, width: right - left + 12, height: 1000};
      for (const [name, v] of Object.entries(room)) box.setAttribute(name, v);
      path.append(box);
      svg.prepend(path);
    }
    return `url(#${clip})`;
  }
  function draw() {
    const whole = from <= left && to >= right;
    for (const {e, tag, was} of across) {
      if (whole) e.removeAttribute("clip-path"); else e.setAttribute("clip-path", clipped());
      if (tag === "circle") e.setAttribute("cx", place(+was.cx));
      else if (tag === "rect") e.setAttribute("x", place(+was.x));
      else if (tag === "line") { e.setAttribute("x1", place(+was.x1)); e.setAttribute("x2", place(+was.x2)); }
      else {  // a curve is stretched, a mark goes along as it is
        const xs = [...was.points.matchAll(ABSCISSA)].map(found => +found[1]);
        const middle = (Math.min(...xs) + Math.max(...xs)) / 2, by = place(middle) - middle;
        const to = tag === "polyline" ? place : x => x + by;
        e.setAttribute("points", was.points.replace(ABSCISSA, (_, x) => `${to(+x)},`));
      }
    }
    for (const one of all(".zoomed", svg)) one.remove();
    for (const {e, was} of labels) {
      const x = place(+was.x);
      if (log) e.setAttribute("x", x);
      e.style.display = whole || (log && x >= left && x <= right) ? "" : "none";
    }
    if (whole || log || !labels.length) return;
    const y = labels[0].e.getAttribute("y"), a = value(from), b = value(to);
    const step = [1, 2, 5, 10].map(f => f * 10 ** Math.floor(Math.log10((b - a) / 4))).find(s => (b - a) / s <= 5);
    for (let v = Math.ceil(a / step) * step; v <= b; v += step) {
      const text = document.createElementNS(NS, "text");
      const attributes = {x: place(where(v)), y, "text-anchor": "middle", class: "zoomed"};
      for (const [name, set] of Object.entries(attributes)) text.setAttribute(name, set);
      text.textContent = String(+v.toPrecision(6));
      svg.append(text);
    }
  }
  function window(first, width) {
    width = Math.min(right - left, Math.max((right - left) / 200, width));
    from = Math.min(right - width, Math.max(left, first));
    to = from + width;
    show(null);
    draw();
  }
  const by = (factor, at = (from + to) / 2) => window(at - (at - from) * factor, (to - from) * factor);
  const under = event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    return from + (x - left) * (to - from) / (right - left);
  };
  svg.addEventListener("wheel", event => {
    if (!event.ctrlKey && document.activeElement !== svg) return;  // the page scrolls, unless the picture was chosen
    event.preventDefault();
    by(event.deltaY < 0 ? 0.8 : 1.25, under(event));
  }, {passive: false});
  let grip = null;
  svg.addEventListener("pointerdown", event => { grip = to - from < right - left ? under(event) : null; });
  svg.addEventListener("pointermove", event => {
    if (grip !== null && event.buttons) window(from + grip - under(event), to - from);
  });
  addEventListener("pointerup", () => { grip = null; });
  svg.addEventListener("keydown", event => {
    if (event.key === "+" || event.key === "=") by(0.5);
    else if (event.key === "-") by(2);
    else if (event.key === "0") window(left, right - left);
  });
  svg.addEventListener("dblclick", () => window(left, right - left));
  return [button("+", () => by(0.5), {"aria-label": "Zoom in"}), button("−", () => by(2), {"aria-label": "Zoom out"}),
    button("◂", () => window(from - (to - from) / 2, to - from), {"aria-label": "Earlier"}),
    button("▸", () => window(from + (to - from) / 2, to - from), {"aria-label": "Later"})];
}

// Tables: sorted by a column, filtered by words, ten rows first.
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
    const fit = [...body.rows].filter(row => row.textContent.toLowerCase().includes(words));
    for (const row of body.rows) row.hidden = true;
    for (const row of whole ? fit : fit.slice(0, FIRST)) row.hidden = false;
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
  if (rows.length > FIRST + 2) {
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
  const title = figure.querySelector("h3"), caption = figure.querySelector("figcaption");
  if (!title || !caption) return;
  const name = title.textContent.toLowerCase().replace(/[^a-z0-9.]+/g, "-");
  const bar = make("div", "", {class: "tools"}), grid = figure.querySelector("table"), drawings = all(PLOT, figure);
  const zooms = drawings.filter(svg => svg.dataset.across).map(zoomed);
  if (zooms.length) ["Zoom in", "Zoom out", "Earlier", "Later"].forEach((label, i) =>
    bar.append(button(zooms[0][i].textContent, () => zooms.forEach(one => one[i].click()), {"aria-label": label})));
  const file = i => `${name}${i ? `-${i + 1}` : ""}.svg`;
  bar.append(button("SVG", () => drawings.forEach((svg, i) => save(file(i), "image/svg+xml", standalone(svg)))));
  if (grid) bar.append(button("CSV", () => save(`${name}.csv`, "text/csv", csv(grid))),
    button("Markdown", () => save(`${name}.md`, "text/markdown", markdown(grid))));
  caption.after(bar);
}

// Designs: one switch for each, for all pictures and columns at once.
function designs(names) {
  const bar = make("nav", "", {class: "designs", "aria-label": "Designs that are shown"});
  names.forEach((name, i) => bar.append(button(name, self => {
    const off = self.getAttribute("aria-pressed") === "true";
    self.setAttribute("aria-pressed", String(!off));
    document.documentElement.classList.toggle(`without-d${i % 8}`, off);
    for (const head of all("thead th").filter(one => [name, `${name} (before)`].includes(one.textContent)))
      for (const row of head.closest("table").rows)
        if (row.cells[head.cellIndex]) row.cells[head.cellIndex].hidden = off;
  }, {"aria-pressed": "true", class: `d${i % 8}`})));
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
all(".table").forEach(table);
all("figure").forEach(tools);
const names = JSON.parse(document.body.dataset.designs || "[]");
if (names.length > 1) designs(names);
if (document.body.dataset.runs) pairs(JSON.parse(document.body.dataset.runs));
document.body.append(tip);
addEventListener("scroll", () => show(null), {passive: true});
})();
