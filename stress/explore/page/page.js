"use strict";
// Draws the executions in #data: columns of CPUs, time downwards, and the world after the step that is looked at.
// All names come as text and stay text: nodes are made, no markup is.
const NS = "http://www.w3.org/2000/svg";
const data = JSON.parse(document.getElementById("data").textContent);

function make(parent, tag, attributes, text) {
  const made = parent.namespaceURI === NS || tag === "svg" ? document.createElementNS(NS, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function shorten(text, room) {  // room in pixels, at 6.9 a letter
  const most = Math.max(4, Math.floor(room / 6.9));
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

const ROW = 22, GAP = 4, GUTTER = 34, LANE = 26;

class Run {
  constructor(run, at) {
    this.run = run;
    this.now = 0;
    this.open = new Set();
    this.columns = new Map(run.cpus.map((cpu, i) => [cpu, i]));
    this.groups = [];
    run.steps.forEach((step, i) => {
      const last = this.groups[this.groups.length - 1], name = this.functionOf(step);
      if (last && step.kind !== "switch" && last.cpu === step.cpu && last.task === step.task && last.name === name) last.steps.push(i);
      else this.groups.push({cpu: step.cpu, task: step.task, name, steps: [i], isSwitch: step.kind === "switch"});
    });
    this.groupOf = [];
    this.groups.forEach((group, g) => group.steps.forEach(i => { this.groupOf[i] = g; }));
    this.controls(at);
    this.step = make(at, "div", {class: "step", "aria-live": "polite"});
    this.world = make(at, "div", {class: "world"});
    this.timeline = make(at, "div", {class: "timeline", tabindex: 0, role: "group", "aria-label": "Timeline; keys walk it"});
    at.addEventListener("keydown", event => this.key(event));
    at.addEventListener("pointerdown", () => { active = this; });
    at.addEventListener("focusin", () => { active = this; });
    this.go(0);
  }

  functionOf(step) { return step.stack ? data.wheres[step.stack[0]][0] : step.kind; }

  controls(at) {
    const bar = make(at, "div", {class: "walk"});
    const button = (label, title, act) => make(bar, "button", {type: "button", title, "aria-label": title}, label).addEventListener("click", act);
    button("⇤", "first step", () => this.go(0));
    button("←", "step before", () => this.go(this.now - 1));
    this.slider = make(bar, "input", {type: "range", min: 0, max: Math.max(0, this.run.steps.length - 1), value: 0, "aria-label": "step"});
    this.slider.addEventListener("input", () => this.go(+this.slider.value));
    button("→", "next step", () => this.go(this.now + 1));
    button("⇥", "last step", () => this.go(this.run.steps.length - 1));
    button("function", "next function", () => this.byFunction(1));
    button("switch", "next switch of tasks", () => this.bySwitch(1));
    button("unfold all", "unfold or fold all functions", () => {
      this.open = this.open.size ? new Set() : new Set(this.groups.keys());
      this.draw();
    });
    this.said = make(bar, "output", {});
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    const acts = {
      ArrowDown: () => this.go(this.now + 1), ArrowRight: () => this.go(this.now + 1),
      ArrowUp: () => this.go(this.now - 1), ArrowLeft: () => this.go(this.now - 1),
      PageDown: () => this.byFunction(1), PageUp: () => this.byFunction(-1),
      p: () => this.bySwitch(1), P: () => this.bySwitch(-1),
      Home: () => this.go(0), End: () => this.go(this.run.steps.length - 1),
      Enter: () => this.fold(this.groupOf[this.now]),
    };
    if (!acts[event.key] || (event.key === "Enter" && event.target.tagName !== "DIV" && event.target !== document.body)) return;
    event.preventDefault();
    acts[event.key]();
  }

  byFunction(by) {
    const next = this.groups[this.groupOf[this.now] + by];
    this.go(next ? next.steps[0] : by > 0 ? this.run.steps.length - 1 : 0);
  }

  bySwitch(by) {
    for (let i = this.now + by; i >= 0 && i < this.run.steps.length; i += by)
      if (this.run.steps[i].kind === "switch") return this.go(i);
  }

  fold(g) {
    if (this.groups[g].isSwitch) return;
    if (!this.open.delete(g)) this.open.add(g);
    this.draw();
  }

  go(to) {
    this.now = Math.max(0, Math.min(this.run.steps.length - 1, to));
    this.slider.value = this.now;
    this.said.textContent = this.run.steps.length ? `step ${this.now + 1} of ${this.run.steps.length}` : "no step";
    if (!this.run.steps.length) return;
    this.tell();
    this.drawWorld();
    this.draw();
  }

  // The step in words.

  tell() {
    const step = this.run.steps[this.now], at = this.step;
    at.replaceChildren();
    if (step.kind === "switch") {
      make(at, "p", {class: "what"}, `${step.text}: ${step.task} goes on`);
    } else {
      make(at, "p", {class: "what"}, `cpu${step.cpu}, ${step.task}: ${step.kind} ${step.word} ` +
        (step.old === step.new ? step.old : `${step.old} → ${step.new}`));
      if (step.saw !== undefined) {
        const by = this.run.steps[step.saw];
        make(at, "p", {}, `sees what ${by.task} wrote on cpu${by.cpu} in step ${step.saw + 1} (${by.kind})`);
      }
      if (step.by !== undefined) make(at, "p", {}, `the store of step ${step.by + 1} reaches memory`);
      (step.stack || []).forEach((w, depth) => {
        const [name, file, line, text] = data.wheres[w];
        const row = make(at, "p", {class: "source"}, `${name} ${file}:${line} `);
        make(row, "code", {}, text);
        if (depth === 0) row.classList.add("innermost");
      });
    }
    const notes = [];
    if (step.held) notes.push("locks: " + step.held.map(([name, task]) => `${name} (${task})`).join(", "));
    (step.buffers || []).forEach((buffer, cpu) => {
      if (buffer.length) notes.push(`store buffer of cpu${cpu}: ` + buffer.map(one => `${one.word} = ${one.value}`).join(", "));
    });
    if (step.posted) notes.push("interrupt on its way to " + step.posted.map(cpu => `cpu${cpu}`).join(", "));
    if (step.irq) notes.push("not preemptible: " + step.irq.map(cpu => `cpu${cpu}`).join(", "));
    notes.forEach(note => make(at, "p", {}, note));
    if (this.now === this.run.steps.length - 1)
      make(at, "p", {class: this.run.kind ? "ends bad" : "ends"}, this.run.kind ? `then: ${this.run.kind}: ${this.run.text}` : "ends well");
  }

  // The world after it.

  stateAt(i) { const step = this.run.steps[i]; return step && step.state !== undefined && step.state >= 0 ? this.run.states[step.state] : null; }

  drawWorld() {
    const state = this.stateAt(this.now), before = this.stateAt(this.now - 1);
    this.world.replaceChildren();
    if (!state) return;
    const words = state.words || [];
    const room = Math.max(300, this.world.clientWidth || 600);
    const svg = make(this.world, "svg", {role: "img", "aria-label": "State after the step: caches, lists and slabs"});
    let y = 14;
    const was = new Map(((before && before.slabs) || []).map(slab => [slab.page, JSON.stringify(slab)]));
    const wasPlace = new Map(((before && before.places) || []).map(place => [place.name, place.pages.join()]));
    const slabs = new Map(state.slabs.map(slab => [slab.page, slab]));
    const dead = new Set(state.caches.filter(cache => cache.dead || cache.offline).map(cache => cache.number));
    for (const cache of state.caches) {
      const said = [`cache ${cache.number}${cache.child ? " (the cgroup's)" : " (root)"}`];
      if (cache.offline) said.push("offline");
      if (cache.dead) said.push("dead");
      said.push(`${cache.references} references`, `min_partial ${cache.min_partial}`);
      cache.held.forEach(([name, count]) => said.push(`${count} in ${name}`));
      make(svg, "text", {x: 2, y, class: cache.dead || cache.offline ? "bad" : ""}, said.join(", "));
      y += 17;
    }
    let x = 2, tall = 0;
    for (const place of state.places) {
      const boxes = place.pages.map(page => slabs.get(page)).map(slab => slab && Math.max(64, Math.min(slab.objects, 8) * 13 + 12));
      const inside = boxes.reduce((sum, w) => sum + (w || 64) + 6, 6), width = Math.max(inside, place.name.length * 7.4 + 12);
      if (x + width > room && x > 2) { x = 2; y += tall + 8; tall = 0; }
      const changed = before && wasPlace.get(place.name) !== place.pages.join();
      make(svg, "rect", {x, y, width, height: 74, rx: 4, class: "list" + (changed ? " changed" : "")});
      make(svg, "text", {x: x + 6, y: y + 15, class: "title"}, place.name);
      let left = x + 6;
      place.pages.forEach((page, i) => {
        this.drawSlab(svg, left, y + 22, boxes[i] || 64, page, slabs.get(page), dead, before && was.get(page));
        left += (boxes[i] || 64) + 6;
      });
      if (place.problem) make(svg, "text", {x: x + 6, y: y + 70, class: "bad"}, shorten(place.problem, width));
      x += width + 8;
      tall = 74;
    }
    y += tall + 6;
    for (const [name, value] of words) {
      const old = before && new Map(before.words).get(name);
      make(svg, "text", {x: 2, y: y + 12, class: before && old !== value ? "bad" : ""}, `${name} = ${value}`);
      y += 16;
    }
    svg.setAttribute("width", room);
    svg.setAttribute("height", y + 4);
  }

  drawSlab(svg, x, y, width, page, slab, dead, was) {
    const kinds = ["slab"];
    if (slab && slab.frozen) kinds.push("frozen");
    if (slab && dead.has(slab.cache)) kinds.push("dead");
    if (slab && was !== undefined && was !== null && was !== JSON.stringify(slab)) kinds.push("changed");
    make(svg, "rect", {x, y, width, height: 44, rx: 3, class: kinds.join(" ")});
    make(svg, "text", {x: x + 4, y: y + 13}, `page ${page}${slab && slab.frozen ? " ❄" : ""}`);
    if (!slab) return void make(svg, "text", {x: x + 4, y: y + 30, class: "bad"}, "no slab");
    const free = new Set(slab.free), shown = Math.min(slab.objects, 8);
    for (let i = 0; i < shown; i++)
      make(svg, "rect", {x: x + 5 + 13 * i, y: y + 18, width: 9, height: 9, class: free.has(i) ? "free" : "used"});
    make(svg, "text", {x: x + 4, y: y + 40, class: "quiet"}, `${slab.used}/${slab.objects} used`);
  }

  // The timeline.

  draw() {
    const kept = this.timeline.scrollTop;
    this.timeline.replaceChildren();
    const count = Math.max(1, this.run.cpus.length), lockLane = 10;
    const width = Math.max(280, (this.timeline.clientWidth || 640) - 18), column = (width - GUTTER) / count;
    const svg = make(this.timeline, "svg", {width});
    const back = make(svg, "g"), rows = make(svg, "g"), over = make(svg, "g");
    const left = cpu => GUTTER + column * (this.columns.get(cpu) || 0);
    this.run.cpus.forEach(cpu => {
      make(rows, "text", {x: left(cpu) + 14, y: 15, class: "title"}, `cpu${cpu}`);
    });
    let y = LANE, nowAt = 0;
    const place = [];  // of each step: its row
    this.groups.forEach((group, g) => {
      const first = group.steps[0], isNow = this.groupOf[this.now] === g, later = first > this.now ? " later" : "";
      if (group.isSwitch) {
        const step = this.run.steps[first];
        const text = make(rows, "text", {x: GUTTER, y: y + 15, class: `why${step.preempts ? " preempts" : ""}${later}`},
          shorten(`${step.text}: ${group.task} goes on`, width - GUTTER));
        text.addEventListener("click", () => this.go(first));
        if (isNow) { make(back, "rect", {x: 0, y, width, height: ROW, class: "row now"}); nowAt = y; }
        place[first] = {y: y + ROW / 2, x: GUTTER, right: GUTTER, row: -1 - first};
        y += ROW;
        return;
      }
      const open = this.open.has(g), x = left(group.cpu) + lockLane, w = column - lockLane - 8;
      const wrote = group.steps.map(i => this.run.steps[i]).filter(s => s.writes && s.old !== s.new).map(s => `${s.word} = ${s.new}`);
      const row = make(rows, "rect", {x, y, width: w, height: ROW - 2, rx: 3, "data-group": g, class: `row${isNow && !open ? " now" : ""}${later}`});
      const reveal = () => { this.now = first; this.fold(g); this.go(first); };
      row.addEventListener("click", reveal);
      const head = make(rows, "text", {x: x + 5, y: y + 15, class: later.trim(), "pointer-events": "none"},
        shorten(`${open ? "▾" : "▸"} ${group.name}${wrote.length && !open ? ": " + wrote.join(", ") : ""}`, w - 8));
      make(row, "title", {}, `${group.task}: ${group.name}\n${wrote.join("\n")}`);
      make(rows, "text", {x: 2, y: y + 15, class: "quiet"}, String(first + 1));
      if (isNow && !open) nowAt = y;
      group.steps.forEach(i => { place[i] = {y: y + ROW / 2, x, right: x + w, row: g}; });
      head.setAttribute("font-weight", 600);
      y += ROW;
      if (!open) return;
      for (const i of group.steps) {
        const step = this.run.steps[i], faint = i > this.now ? " later" : "";
        const two = step.stack ? 2 * ROW - 8 : ROW;
        const box = make(rows, "rect", {x: x + 10, y, width: w - 10, height: two - 2, rx: 2, "data-step": i, class: `row access${i === this.now ? " now" : ""}${faint}`});
        box.addEventListener("click", () => this.go(i));
        make(rows, "text", {x: x + 15, y: y + 14, class: faint.trim(), "pointer-events": "none"},
          shorten(`${step.kind} ${step.word} ${step.old === step.new ? step.old : `${step.old} → ${step.new}`}`, w - 20));
        if (step.stack) make(rows, "text", {x: x + 15, y: y + 29, class: "source" + faint, "pointer-events": "none"},
          shorten(`${data.wheres[step.stack[0]][2]}: ${data.wheres[step.stack[0]][3]}`, w - 20));
        place[i] = {y: y + two / 2, x: x + 10, right: x + w, row: `${g}.${i}`};
        if (i === this.now) nowAt = y;
        y += two;
      }
      y += GAP;
    });
    this.run.cpus.forEach(cpu => make(back, "line", {x1: left(cpu) + 2, x2: left(cpu) + 2, y1: 0, y2: y, class: "column"}));
    this.drawLocks(over, place, left, y);
    this.drawArrows(over, place);
    svg.setAttribute("height", y + 6);
    const tall = this.timeline.clientHeight || 500;
    this.timeline.scrollTop = nowAt < kept + LANE ? nowAt - LANE : nowAt > kept + tall - 3 * ROW ? nowAt - tall / 2 : kept;
  }

  drawLocks(over, place, left, bottom) {
    this.run.locks.forEach(lock => {
      const from = place[lock.first].y, to = lock.last >= 0 ? place[lock.last].y : bottom;
      const bar = make(over, "rect", {x: left(lock.cpu) + 4, y: from - 8, width: 4, height: Math.max(8, to - from + 16), rx: 2, class: "lock"});
      make(bar, "title", {}, `${lock.name}, held by ${lock.task}`);
    });
  }

  drawArrows(over, place) {
    const seen = new Set();
    this.run.steps.forEach((step, i) => {
      const source = step.by !== undefined ? step.by : step.saw;
      if (source === undefined || source < 0) return;
      const other = this.run.steps[source], kind = step.by !== undefined ? "flushes" : step.ipi ? "interrupts" : "";
      if (!kind && other.task === step.task) return;  // one's own writes are no news
      const a = place[source], b = place[i], key = `${a.row} ${b.row} ${kind}`;
      if (a.row === b.row || seen.has(key)) return;
      seen.add(key);
      const near = i === this.now || source === this.now || this.groupOf[i] === this.groupOf[this.now] || this.groupOf[source] === this.groupOf[this.now];
      const same = Math.abs(a.x - b.x) < 20, rightwards = b.x > a.x;
      const x1 = same || rightwards ? a.right : a.x, x2 = same ? b.right : rightwards ? b.x : b.right;
      const bend = same ? 26 : 0, middle = (x1 + x2) / 2;
      const path = make(over, "path", {
        d: same ? `M${x1} ${a.y} C${x1 + bend} ${a.y} ${x2 + bend} ${b.y} ${x2} ${b.y}` : `M${x1} ${a.y} C${middle} ${a.y} ${middle} ${b.y} ${x2} ${b.y}`,
        class: `arrow ${kind}${near ? "" : " dim"}`, "data-to": i, "pointer-events": "none"});
      make(path, "title", {}, `${other.task} ${other.kind} ${other.word} → ${step.task} ${step.kind}`);
      const back = same || !rightwards ? 6 : -6;
      if (near) make(over, "polygon", {points: `${x2},${b.y} ${x2 + back},${b.y - 4} ${x2 + back},${b.y + 4}`, class: `tip ${kind}`});
    });
  }
}

let active = null;
document.documentElement.classList.add("script");
const drawn = data.runs.map((run, i) => new Run(run, document.getElementById(`run${i}`)));
active = drawn[0];
document.addEventListener("keydown", event => { if (event.target === document.body && active) active.key(event); });
let resized = 0;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => drawn.forEach(run => run.go(run.now)), 100); });
