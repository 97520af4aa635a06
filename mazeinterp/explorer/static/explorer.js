// The explorer: touch the maze, see the mind answer.
//
// One plain ES module, for the page and for the notebook's widget alike. `mount(element, transport)` builds the
// explorer inside an element; a transport carries JSON messages to Python and back (mazeinterp/explorer/protocol.py).
// The page holds all state (maze, policy, edits, view); Python holds none of it, so every request says it whole.
// Edits of the maze are drawn in the frame of the input; what they ask of Python is drawn as it arrives, and only if
// it still answers the newest question. Whatever comes from Python is inserted as text, never as HTML.

// ---------------------------------------------------------------------------------------------------------------
// Constants

const WORLDS = { hard: 25, easy: 15 };
const MOVES = ["left", "right", "up", "down", "stay"];
const STEPS = [[-1, 0], [1, 0], [0, 1], [0, -1], [0, 0]];
const DEFAULT_LAYER = "embedder.block2.res1.resadd_out";
const PIXELS = 64; // side of an observation
const BETWEEN_PARTS = 100; // ms between two drawings of a field that is still coming
const MOST_FIELDS = 40; // kept for undo, redo and going back
const MOST_UNDO = 200;
const MOST_CHANNELS = 256; // shown of a layer; more are no use to the eye
const TABS = ["before", "after", "difference"];
const TINTS = [["none", "No tint"], ["paths", "Path probability"], ["value", "Value"], ["activation", "Activation"]];
const MARKS = [
  ["decision", "Decision", "Mark the decision square, where the ways to cheese and corner part (D)"],
  ["corner", "Corner", "Mark the maze's top-right corner (O)"],
  ["ways", "Paths", "Draw the shortest paths: to the cheese in dashes, to the corner in dots (P)"],
];
const TOOLS = [
  ["move", "Move", "Drag the mouse or the cheese", "v"],
  ["wall", "Walls", "Drag to build or open walls", "w"],
  ["cheese", "Cheese", "Click to put the cheese; with Shift, one more", "c"],
  ["mouse", "Mouse", "Click to put the mouse", "m"],
  ["clamp", "Clamp", "Click to clamp the chosen channel at a square", "k"],
];
const LENGTH = 0.86; // in cells, of the arrow of a certain move, as in the library's figures

// Okabe and Ito's palette for what is said by colour as well; sand for procgen's walls.
const LIGHT = {
  wall: "#c99f6e", wallTints: ["#cba272", "#c69b69", "#c89e6c"], edge: "#8f6838", lip: "#dcb98d", outside: "#f4f1ea",
  floor: "#fdfaf3", grid: "rgba(120, 90, 50, .13)", shade: "rgba(92, 62, 24, .20)", ink: "#22262e", halo: "#fffdf8",
  blue: "#0072b2", green: "#00795a", orange: "#d55e00", cursor: "#22262e",
  heat: ["#fdfaf3", "#f6cf8f", "#e8804f", "#b5305c", "#5a1452"],
  diverging: ["#00446b", "#0072b2", "#8cc2e0", "#f7f3ea", "#f2b285", "#d55e00", "#7a3300"],
};
const DARK = {
  wall: "#6b5237", wallTints: ["#6d5439", "#675035", "#6a5237"], edge: "#a98252", lip: "#7d6142", outside: "#1b1d21",
  floor: "#1d1f23", grid: "rgba(255, 235, 200, .07)", shade: "rgba(0, 0, 0, .42)", ink: "#f2eee6", halo: "#16181b",
  blue: "#56b4e9", green: "#2fc79c", orange: "#f0883e", cursor: "#f2eee6",
  heat: ["#1d1f23", "#4f1d55", "#a83262", "#e8804f", "#f9dba6"],
  diverging: ["#b5e0f8", "#56b4e9", "#1f6a99", "#24272c", "#a8541f", "#f0883e", "#ffdcbc"],
};

const SHORTCUTS = [
  ["Maze", [
    ["arrow keys", "move the cursor (the maze has the focus)"], ["Enter, Space", "use the tool at the cursor"],
    ["V W C M K", "tools: move, walls, cheese, mouse, clamp"], ["Shift + Enter", "with the cheese tool: one more cheese"],
    ["X", "remove every cheese"], ["F", "turn the mouse round"], ["N", "new maze"], ["Z", "whole world, or the maze alone"],
    ["U, Ctrl + Z", "undo"], ["R, Ctrl + Shift + Z", "redo"],
  ]],
  ["View", [
    ["1 2 3", "before, after, difference"], ["H", "next tint"], ["D, O, P", "mark decision square, corner, paths"],
    ["T", "light or dark"], ["?", "this help"],
  ]],
  ["Mind and edits", [
    ["[ and ]", "previous and next channel"], ["A", "activations over the maze"],
    ["−", "subtract the cheese vector"], ["+", "add the top-right vector"],
    ["E", "play or stop an episode"], [", and .", "a step back, a step on"],
  ]],
];

// ---------------------------------------------------------------------------------------------------------------
// Small helpers

/** An element with properties, listeners (`onclick`), attributes (`aria-label`) and children; text stays text. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && !name.includes("-") && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = {
  undo: "M5 4 2 7l3 3M2.5 7H10a4 4 0 0 1 0 8H7",
  redo: "m11 4 3 3-3 3M13.500 7H6a4 4 0 0 0 0 8h3",
  play: "M4.500 2.500v11l9-5.500z",
  pause: "M5 3v10M11 3v10",
  dice: "M3 3h10v10H3zM6 6h.01M10 10h.01M10 6h.01M6 10h.01",
  theme: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  up: "m4 9.500 4-4 4 4", down: "m4 6.500 4 4 4-4", close: "m4 4 8 8M12 4l-8 8",
  remove: "M2 9.500 9.500 3Q13 5 14 7.500V12.500H2zM2 9.500 14 7.500M1.500 1.500l13 13",
  grip: "M6 4h.01M10 4h.01M6 8h.01M10 8h.01M6 12h.01M10 12h.01",
  link: "M6.500 9.500l3-3M7 4.500l1.200-1.200a3.100 3.100 0 0 1 4.500 4.500L11.500 9M9 11.500l-1.200 1.200a3.100 3.100 0 0 1-4.500-4.500L4.500 7",
  code: "m5.500 4.500-3.500 3.500 3.500 3.500M10.500 4.500 14 8l-3.500 3.500",
  picture: "M2 3h12v10H2zM2 11l4-4 3 3 2-2 3 3M10.500 6h.01",
  table: "M2 3h12v10H2zM2 6.500h12M2 9.800h12M6.500 3v10",
  turn: "M3 5h8l-2.500-2.500M13 11H5l2.500 2.500",
  target: "M8 1.500v3M8 11.500v3M1.500 8h3M11.500 8h3M8 4.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7",
};

/** A small line drawing, of which the text beside or around it says the same. */
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "mi-icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const between = (value, low, high) => Math.min(high, Math.max(low, value));
const isSquare = (square, world) =>
  Array.isArray(square) && square.length === 2 && square.every((at) => Number.isInteger(at) && at >= 0 && at < world);
const at = (square) => `(${square[0]}, ${square[1]})`;
const number = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : "–");
const plural = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;

function toBase64url(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

/** Walls as the protocol writes them: one bit a square, bottom row first, the most significant bit first. */
function packWalls(walls) {
  const bytes = new Uint8Array(Math.ceil(walls.length / 8));
  walls.forEach((wall, i) => { if (wall) bytes[i >> 3] |= 128 >> (i & 7); });
  return toBase64url(bytes);
}

function unpackWalls(text, world) {
  const bytes = fromBase64(text);
  if (bytes.length !== Math.ceil(world * world / 8)) throw new Error("the grid has another size");
  return Uint8Array.from({ length: world * world }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1);
}

/** A colour scale: 256 steps between colours, as [r, g, b] for 0 to 255. */
function scaleOf(colours) {
  const stops = colours.map((colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, i) => {
    const place = i / 255 * (stops.length - 1), low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((from, part) => Math.round(from + (stops[low + 1][part] - from) * (place - low)));
  });
}

const css = (rgb) => `rgb(${rgb[0]}, ${rgb[1]}, ${rgb[2]})`;

function download(name, blob) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// ---------------------------------------------------------------------------------------------------------------
// Transports: send(message), and two callbacks that the explorer sets, onmessage(message) and onstatus(isOpen)

/** A WebSocket at /socket of the page's own origin, opened again when it closes. */
export function socketTransport(address = new URL("socket", location.href.replace(/^http/, "ws"))) {
  address.hash = "";
  const transport = { onmessage() {}, onstatus() {}, send(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  } };
  let socket = null, wait = 250;
  const open = () => {
    socket = new WebSocket(address);
    socket.onopen = () => { wait = 250; transport.onstatus(true); };
    socket.onmessage = (event) => transport.onmessage(JSON.parse(event.data));
    socket.onclose = () => {
      transport.onstatus(false);
      setTimeout(open, wait);
      wait = Math.min(2 * wait, 4000);
    };
  };
  queueMicrotask(open);
  return transport;
}

/** anywidget's custom messages. */
export function widgetTransport(model) {
  const transport = { onmessage() {}, onstatus() {}, send: (message) => model.send(message) };
  model.on("msg:custom", (message) => transport.onmessage(message));
  queueMicrotask(() => transport.onstatus(true));
  return transport;
}

/** Requests, of which only the newest of a kind counts: what answers an older one is dropped. */
class Requests {
  constructor(transport, onbusy) {
    this.transport = transport;
    this.onbusy = onbusy;
    this.count = Math.floor(2 ** 30 * Math.random()); // two views of one widget hear each other's answers
    this.newest = new Map(); // kind → { id, onpart, onerror }
    transport.onmessage = (message) => this.receive(message);
  }

  /** Asks; `onpart(reply)` is called for every part of the answer until a newer request of the kind is made. */
  ask(kind, content, onpart, onerror) {
    const id = ++this.count;
    this.newest.set(kind, { id, onpart, onerror });
    this.transport.send({ id, kind, ...content });
    this.onbusy();
  }

  /** Asks for one answer. */
  fetch(kind, content) {
    return new Promise((resolve, reject) =>
      this.ask(kind, content, (reply) => reply.done !== false && resolve(reply), (text) => reject(new Error(text))));
  }

  drop(...kinds) {
    kinds.forEach((kind) => this.newest.delete(kind));
    this.onbusy();
  }

  get busy() { return this.newest.size > 0; }

  receive(message) {
    const found = [...this.newest].find(([, request]) => request.id === message.id);
    if (!found && message.id !== null && message.id !== undefined) return; // answers what nobody asks any more
    const [kind, request] = found ?? [null, this];
    if ("error" in message) {
      if (kind) this.newest.delete(kind);
      request.onerror?.(message.error, message);
    } else if (found) {
      if (message.done !== false) this.newest.delete(kind);
      request.onpart(message);
    }
    this.onbusy();
  }
}

// ---------------------------------------------------------------------------------------------------------------
// State: an immutable value { policy, mode, grid, cheeses, mouse, background, reflected, seed, maze_dim, edits }

const wallsOf = (() => { // unpacked once a grid
  let last = { grid: null, mode: null, walls: null };
  return (state) => {
    if (last.grid !== state.grid || last.mode !== state.mode) {
      last = { grid: state.grid, mode: state.mode, walls: unpackWalls(state.grid, WORLDS[state.mode]) };
    }
    return last.walls;
  };
})();

const isOpen = (state, [x, y]) => {
  const world = WORLDS[state.mode];
  return x >= 0 && y >= 0 && x < world && y < world && !wallsOf(state)[y * world + x];
};
const hasCheese = (state, square) => state.cheeses.some((cheese) => same(cheese, square));
const activeEdits = (state) => state.edits.filter((edit) => edit.on);

/** What a request carries: the state without the page's own keys of edits. */
const plain = (state) => ({ ...state, edits: state.edits.map(({ name, parameters, on }) => ({ name, parameters, on })) });

// The policy's field does not depend on where the mouse stands; an edit's may, as vectors are taken at its start.
const levelKey = (state) =>
  [state.policy, state.mode, state.grid, state.cheeses, state.background, state.reflected];
const fieldKey = (state, which) => JSON.stringify(which === "before" ? levelKey(state)
  : [...levelKey(state), state.mouse, activeEdits(plain(state))]);

/** A state out of an address, checked as far as drawing needs it; Python checks the rest. */
function checkedState(state) {
  const world = WORLDS[state?.mode];
  if (!world || typeof state.policy !== "string" || typeof state.grid !== "string" || !Array.isArray(state.edits)) {
    throw new Error("a part is missing");
  }
  unpackWalls(state.grid, world);
  if (!Array.isArray(state.cheeses) || ![...state.cheeses, state.mouse].every((square) => isSquare(square, world))) {
    throw new Error("a square is outside the world");
  }
  const edits = state.edits.map(({ name, parameters, on }) => {
    if (typeof name !== "string" || typeof parameters !== "object" || !parameters) throw new Error("an edit is broken");
    return { name, parameters, on: on !== false, key: newKey() };
  });
  return {
    policy: state.policy, mode: state.mode, grid: state.grid, cheeses: state.cheeses, mouse: state.mouse,
    background: between(Math.trunc(Number(state.background)) || 0, 0, 8), reflected: state.reflected === true,
    seed: Number.isInteger(state.seed) ? state.seed : null, maze_dim: Number.isInteger(state.maze_dim) ? state.maze_dim : null, edits,
  };
}

let keys = 0;
const newKey = () => ++keys;

const START_VIEW = {
  tab: "before", tint: "none", marks: { decision: true, corner: false, ways: false }, tool: "move", whole: false,
  layer: DEFAULT_LAYER, channel: null, greedy: false,
};

function checkedView(view) {
  const chosen = { ...START_VIEW, marks: { ...START_VIEW.marks } };
  if (TABS.includes(view?.tab)) chosen.tab = view.tab;
  if (TINTS.some(([name]) => name === view?.tint)) chosen.tint = view.tint;
  if (TOOLS.some(([name]) => name === view?.tool)) chosen.tool = view.tool;
  for (const [mark] of MARKS) if (typeof view?.marks?.[mark] === "boolean") chosen.marks[mark] = view.marks[mark];
  if (typeof view?.layer === "string") chosen.layer = view.layer;
  if (Number.isInteger(view?.channel) && view.channel >= 0) chosen.channel = view.channel;
  chosen.whole = view?.whole === true;
  chosen.greedy = view?.greedy === true;
  return chosen;
}

// ---------------------------------------------------------------------------------------------------------------
// Drawing the maze. A scene is everything that is drawn: see `Explorer.scene`

/** The part of the world that is shown: its open squares and a wall around them, square, or the whole world. */
function windowOf(state, whole) {
  const world = WORLDS[state.mode], walls = wallsOf(state);
  let [left, right, bottom, top] = [world, -1, world, -1];
  for (let y = 0; y < world; y++) {
    for (let x = 0; x < world; x++) {
      if (walls[y * world + x]) continue;
      [left, right, bottom, top] = [Math.min(left, x), Math.max(right, x), Math.min(bottom, y), Math.max(top, y)];
    }
  }
  if (whole || right < 0) return { x: -1, y: -1, side: world + 2 };
  const side = between(Math.max(right - left, top - bottom) + 3, 9, world + 2);
  const start = (low, high) => between(Math.floor((low + high + 1 - side) / 2), -1, world + 1 - side);
  return { x: start(left, right), y: start(bottom, top), side };
}

/** Paths of the mouse and the cheese, in a square of side 1 with y down; the mouse faces left, as procgen's does. */
const DRAWINGS = {
  mouse: [
    ["stroke", "#e58f9c", "M.80 .70C.98 .74 1 .52 .90 .42", .055],
    ["fill", "#3d404a", "M.06 .66C.12 .50 .26 .36 .46 .33C.70 .30 .87 .46 .87 .64C.87 .76 .80 .80 .70 .80H.26C.15 .80 .08 .76 .06 .66Z"],
    ["fill", "#8d95a5", "M.10 .66C.16 .53 .28 .40 .46 .37C.68 .34 .83 .48 .83 .64C.83 .73 .78 .76 .70 .76H.26C.17 .76 .12 .73 .10 .66Z"],
    ["fill", "#b9bfca", "M.20 .76C.28 .66 .56 .62 .70 .76Z"],
    ["fill", "#3d404a", "M.37 .15a.155 .165 0 1 0 .01 0Z"],
    ["fill", "#f0a0aa", "M.37 .20a.105 .115 0 1 0 .01 0Z"],
    ["fill", "#fff", "M.25 .47a.060 .065 0 1 0 .01 0Z"],
    ["fill", "#22262e", "M.24 .495a.036 .040 0 1 0 .01 0Z"],
    ["fill", "#e5788a", "M.09 .60a.050 .050 0 1 0 .01 0Z"],
    ["stroke", "#3d404a", "M.34 .79v.06M.64 .79v.06", .07],
  ],
  cheese: [
    ["fill", "#b8720c", "M.05 .60L.61 .13Q.66 .10 .71 .13Q.90 .24 .95 .40V.82Q.95 .87 .90 .87H.10Q.05 .87 .05 .82Z"],
    ["fill", "#ffe08a", "M.11 .575L.64 .165Q.86 .27 .905 .42Z"],
    ["fill", "#ffc629", "M.09 .615L.91 .46V.80Q.91 .83 .88 .83H.12Q.09 .83 .09 .80Z"],
    ["fill", "#dd9312", "M.33 .645a.075 .070 0 1 0 .01 0ZM.62 .575a.105 .095 0 1 0 .01 0ZM.77 .73a.050 .046 0 1 0 .01 0ZM.47 .79a.040 .030 0 1 0 .01 0Z"],
    ["fill", "#dd9312", "M.58 .275a.050 .032 0 1 0 .01 0Z"],
  ],
};

class Painter {
  /** Draws scenes of a window on a canvas, `size` CSS pixels a side, `density` device pixels each. */
  constructor(context, palette, window, world, size, density) {
    Object.assign(this, { context, palette, window, world, size, density, cell: size / window.side });
  }

  left(x) { return (x - this.window.x) * this.cell; }
  top(y) { return (this.window.y + this.window.side - 1 - y) * this.cell; }
  middle([x, y]) { return [this.left(x) + this.cell / 2, this.top(y) + this.cell / 2]; }

  /** Fills squares edge to edge: to whole device pixels, so that no seams show. */
  fillSquare(x, y, colour) {
    const round = (length) => Math.round(length * this.density) / this.density;
    const left = round(this.left(x)), top = round(this.top(y));
    this.context.fillStyle = colour;
    this.context.fillRect(left, top, round(this.left(x + 1)) - left, round(this.top(y - 1)) - top);
  }

  paint(scene) {
    const { context, density } = this;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, this.size, this.size);
    this.ground(scene.walls);
    if (scene.tint) this.tint(scene.tint);
    this.walls(scene.walls);
    if (scene.map) this.map(scene.map);
    this.outlines(scene.walls);
    for (const way of scene.ways) this.way(way);
    if (scene.trail) this.trail(scene.trail);
    const mouse = scene.ghost?.square ?? scene.mouse, isHere = ([x, y]) => x === mouse[0] && y === mouse[1];
    for (const cheese of scene.cheeses) this.drawing("cheese", cheese);
    for (const arrow of scene.arrows) if (!isHere(arrow)) this.arrow(arrow);
    if (scene.ghost) this.drawing("mouse", scene.mouse, scene.reflected, 0.3);
    this.drawing("mouse", mouse, scene.ghost ? scene.ghost.reflected : scene.reflected);
    for (const arrow of scene.arrows) if (isHere(arrow)) this.arrow(arrow, true);
    if (scene.corner) this.corner(scene.corner);
    if (scene.decision) this.decision(scene.decision);
    for (const square of scene.clamps) this.clamp(square);
    if (scene.hover) this.frame(scene.hover, 1.5, []);
    if (scene.cursor) this.frame(scene.cursor, 2.5, [0.22 * this.cell, 0.14 * this.cell]);
  }

  ground(walls) {
    const { context, palette, window, world } = this;
    context.fillStyle = palette.wall;
    context.fillRect(0, 0, this.size, this.size);
    for (let y = 0; y < world; y++) {
      for (let x = 0; x < world; x++) if (!walls[y * world + x]) this.fillSquare(x, y, palette.floor);
    }
    context.strokeStyle = palette.grid;
    context.lineWidth = 1;
    context.beginPath();
    for (let i = 1; i < window.side; i++) {
      const line = Math.round(i * this.cell * this.density) / this.density;
      context.moveTo(line, 0); context.lineTo(line, this.size);
      context.moveTo(0, line); context.lineTo(this.size, line);
    }
    context.stroke();
  }

  /** Walls over the floor: sandstone blocks of slightly different tints, a light lip, a shadow on what lies below. */
  walls(walls) {
    const { context, palette, window, world, cell } = this;
    const isWall = (x, y) => x < 0 || y < 0 || x >= world || y >= world || walls[y * world + x] === 1;
    const last = (start) => start + window.side - 1;
    for (let y = window.y; y <= last(window.y); y++) {
      for (let x = window.x; x <= last(window.x); x++) {
        if (!isWall(x, y)) {
          if (isWall(x, y + 1)) this.band(x, y, cell * 0.13, palette.shade);
          continue;
        }
        const inside = x >= 0 && y >= 0 && x < world && y < world;
        const tint = Math.abs((x * 7 + y * 13 + ((x * y) % 5)) % palette.wallTints.length);
        this.fillSquare(x, y, inside ? palette.wallTints[tint] : palette.wall);
        if (!isWall(x, y - 1)) this.band(x, y, cell * 0.12, palette.lip, true);
      }
    }
  }

  outlines(walls) {
    const { context, palette, window, world, cell } = this;
    const isWall = (x, y) => x < 0 || y < 0 || x >= world || y >= world || walls[y * world + x] === 1;
    const last = (start) => start + window.side - 1;
    context.strokeStyle = palette.edge;
    context.lineWidth = Math.max(1, cell * 0.05);
    context.lineCap = "square";
    context.beginPath();
    for (let y = window.y; y <= last(window.y); y++) {
      for (let x = window.x; x <= last(window.x); x++) {
        if (isWall(x, y) !== isWall(x + 1, y)) {
          context.moveTo(this.left(x + 1), this.top(y)); context.lineTo(this.left(x + 1), this.top(y - 1));
        }
        if (isWall(x, y) !== isWall(x, y + 1)) {
          context.moveTo(this.left(x), this.top(y)); context.lineTo(this.left(x + 1), this.top(y));
        }
      }
    }
    context.stroke();
  }

  band(x, y, height, colour, below = false) {
    this.context.fillStyle = colour;
    this.context.fillRect(this.left(x), below ? this.top(y - 1) - height : this.top(y), this.cell, height);
  }

  /** Colours squares by numbers: { scale, low, high, squares: [[x, y, number], …] }. */
  tint({ scale, low, high, squares }) {
    for (const [x, y, value] of squares) {
      this.fillSquare(x, y, css(scale[Math.round(255 * between((value - low) / (high - low), 0, 1))]));
    }
  }

  /** An activation map over the maze, each cell around the pixel that it looks at, and its grid. */
  map({ image, cells, picked }) {
    const { context, world } = this;
    const stride = PIXELS / cells, shift = (0.5 - stride / 2) * world / PIXELS, side = cells * stride * world / PIXELS;
    const left = this.left(shift), top = this.top(world - 1 - shift), length = side * this.cell, step = length / cells;
    context.save();
    context.beginPath();
    context.rect(this.left(0), this.top(world - 1), world * this.cell, world * this.cell);
    context.clip();
    context.imageSmoothingEnabled = false;
    context.globalAlpha = 0.78;
    context.drawImage(image, left, top, length, length);
    context.globalAlpha = 1;
    if (cells <= 32) {
      context.strokeStyle = this.palette.grid;
      context.lineWidth = 1;
      context.beginPath();
      for (let i = 0; i <= cells; i++) {
        context.moveTo(left + i * step, top); context.lineTo(left + i * step, top + length);
        context.moveTo(left, top + i * step); context.lineTo(left + length, top + i * step);
      }
      context.stroke();
    }
    if (picked) {
      context.strokeStyle = this.palette.cursor;
      context.lineWidth = 2;
      context.strokeRect(left + picked[1] * step, top + picked[0] * step, step, step);
    }
    context.restore();
  }

  /** A shortest path: { squares, colour, dash, offset }, as a dashed line beside the middle of the squares. */
  way({ squares, colour, dash, offset }) {
    const { context, cell } = this;
    if (squares.length < 2) return;
    context.save();
    context.translate(offset * cell, offset * cell);
    context.strokeStyle = colour;
    context.lineWidth = Math.max(2, cell * 0.1);
    context.lineJoin = context.lineCap = "round";
    context.setLineDash(dash.map((length) => length * cell));
    context.beginPath();
    squares.forEach((square) => context.lineTo(...this.middle(square)));
    context.stroke();
    context.restore();
  }

  /** Where an episode has led: a line that grows fainter into the past. */
  trail(squares) {
    const { context, cell } = this;
    context.save();
    context.strokeStyle = this.palette.orange;
    context.lineWidth = Math.max(2, cell * 0.13);
    context.lineCap = "round";
    squares.slice(1).forEach((square, i) => {
      context.globalAlpha = 0.25 + 0.75 * (i + 1) / squares.length;
      context.beginPath();
      context.moveTo(...this.middle(squares[i]));
      context.lineTo(...this.middle(square));
      context.stroke();
    });
    context.restore();
  }

  drawing(name, [x, y], mirrored = false, alpha = 1) {
    const { context, cell } = this;
    context.save();
    context.globalAlpha = alpha;
    context.translate(this.left(x) + cell / 2, this.top(y) + cell / 2);
    context.scale((mirrored ? -1 : 1) * 1.02 * cell, 1.02 * cell);
    context.translate(-0.5, -0.5);
    for (const [kind, colour, path, width] of DRAWINGS[name]) {
      if (kind === "fill") {
        context.fillStyle = colour;
        context.fill(new Path2D(path));
      } else {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.lineCap = "round";
        context.stroke(new Path2D(path));
      }
    }
    context.restore();
  }

  /** An arrow [x, y, right, up]: as long and as dark as it is certain; a dot where moves cancel. The mouse's own, of
   * half that length, points out of its square, so that neither hides the other. */
  arrow([x, y, right, up], isMouse = false) {
    const { context, cell, palette } = this;
    const length = Math.hypot(right, up), [middleX, middleY] = this.middle([x, y]);
    context.save();
    context.translate(middleX, middleY);
    if (isMouse && length > 0) context.translate(0.37 * cell * right / length, -0.37 * cell * up / length);
    context.fillStyle = palette.ink;
    context.strokeStyle = palette.halo;
    context.lineWidth = between(cell * 0.07, 1, 3.5);
    context.lineJoin = "round";
    context.beginPath();
    if (length < 0.05) {
      context.globalAlpha = 0.45;
      context.arc(0, 0, Math.max(1, cell * 0.05), 0, 2 * Math.PI);
    } else {
      context.globalAlpha = 0.4 + 0.6 * Math.min(1, length);
      context.rotate(Math.atan2(-up, right));
      const half = (isMouse ? 0.5 : 1) * LENGTH * cell * length / 2, width = cell * 0.052, head = Math.min(cell * 0.34, 1.5 * half);
      const wing = head * 0.56, neck = half - head * 0.82;
      context.moveTo(-half, -width); context.lineTo(neck, -width); context.lineTo(half - head, -wing);
      context.lineTo(half, 0);
      context.lineTo(half - head, wing); context.lineTo(neck, width); context.lineTo(-half, width);
      context.closePath();
    }
    context.stroke();
    context.fill();
    context.restore();
  }

  /** A shape twice: its halo, then itself. */
  outlined(colour, draw) {
    const { context, cell, palette } = this;
    for (const [stroke, width] of [[palette.halo, 0.2], [colour, 0.105]]) {
      context.strokeStyle = stroke;
      context.lineWidth = Math.max(stroke === colour ? 1.8 : 3.6, width * cell);
      context.beginPath();
      draw(context);
      context.stroke();
    }
  }

  decision(square) {
    const [x, y] = this.middle(square);
    this.outlined(this.palette.green, (context) => context.arc(x, y, 0.41 * this.cell, 0, 2 * Math.PI));
  }

  corner(square) {
    const [x, y] = this.middle(square), half = 0.4 * this.cell;
    this.outlined(this.palette.blue, (context) => context.roundRect(x - half, y - half, 2 * half, 2 * half, 0.14 * this.cell));
  }

  /** A clamp at a square: a cross-hair. */
  clamp(square) {
    const [x, y] = this.middle(square), long = 0.46 * this.cell, short = 0.2 * this.cell;
    this.outlined(this.palette.orange, (context) => {
      context.arc(x, y, 0.28 * this.cell, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + dx * short, y + dy * short); context.lineTo(x + dx * long, y + dy * long);
      }
    });
  }

  frame([x, y], width, dash) {
    const { context, cell } = this;
    context.save();
    context.setLineDash(dash);
    context.strokeStyle = this.palette.cursor;
    context.lineWidth = width;
    context.strokeRect(this.left(x) + 1, this.top(y) + 1, cell - 2, cell - 2);
    context.restore();
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Controls of an edit, made from the types of its parameters

/** The parameters that an edit of a registry entry must have, to begin with. */
function startOf(entry, explorer) {
  const parameters = {};
  for (const parameter of entry.parameters) {
    if (parameter.required) parameters[parameter.name] = firstValue(parameter, explorer);
  }
  return parameters;
}

/** What a required parameter starts from: Python's proposal, or what the maze at hand suggests. */
function firstValue(parameter, explorer) {
  if (parameter.initial !== null && parameter.initial !== undefined) return parameter.initial;
  const first = { layer: DEFAULT_LAYER, square: explorer.state.mouse, cell: [0, 0], seeds: [500_000, 500_128], float: 1, int: 0 };
  return first[parameter.type] ?? "";
}

const labelOf = (name) => name.replaceAll("_", " ");

/** A number box, with a slider beside it where the parameter has bounds. `set(value, isLive)`. */
function numberControl(parameter, id, set) {
  const whole = parameter.type === "int", low = parameter.low, high = parameter.high;
  const bounded = Number.isFinite(low) && Number.isFinite(high) && high - low <= 4096;
  let shown;
  const step = whole ? 1 : bounded ? (high - low) / 100 : "any";
  const read = (input, live) => {
    const value = input.value.trim() === "" ? null : Number(input.value);
    if (value === null ? parameter.optional : Number.isFinite(value) && (!whole || Number.isInteger(value))) set(value, live);
  };
  const box = h("input", { type: "number", id, class: "mi-number", step: whole ? 1 : "any",
    placeholder: parameter.optional ? "none" : "", oninput: () => read(box, true), onchange: () => read(box, false) });
  if (!parameter.soft && Number.isFinite(low)) box.min = low;
  if (!parameter.soft && Number.isFinite(high)) box.max = high;
  const slider = bounded && !parameter.optional
    ? h("input", { type: "range", min: low, max: high, step, "aria-label": `${labelOf(parameter.name)}, slider`,
      oninput: () => read(slider, true), onchange: () => read(slider, false) }) : null;
  return {
    element: h("span", { class: "mi-pair" }, slider, box),
    sync(value) {
      const isShown = box.value === "" ? value === null || value === undefined : Number(box.value) === value;
      if (!isShown && (value !== shown || document.activeElement !== box)) box.value = value ?? ""; // half-typed numbers stay
      shown = value;
      if (slider) slider.value = value ?? 0;
    },
  };
}

/** Several whole numbers in boxes of their own: a square, a cell, two seeds. */
function numbersControl(parameter, id, names, set, extra = null) {
  const boxes = names.map((name, i) => h("input", { type: "number", class: "mi-number", min: 0, step: 1, placeholder: name,
    id: i ? undefined : id, "aria-label": `${labelOf(parameter.name)}: ${name}`, onchange: () => {
      const values = boxes.map((box) => (box.value.trim() === "" ? NaN : Number(box.value)));
      if (values.every(Number.isInteger)) set(values, false);
      else if (parameter.optional && values.every(Number.isNaN)) set(null, false);
    } }));
  return {
    element: h("span", { class: "mi-pair" }, boxes, extra),
    sync(value) { boxes.forEach((box, i) => { if (document.activeElement !== box) box.value = value?.[i] ?? ""; }); },
  };
}

function selectControl(id, options, set) {
  const select = h("select", { id, onchange: () => set(options[select.selectedIndex][0], false) },
    options.map(([, text]) => h("option", {}, text)));
  return {
    element: select,
    sync(value) { select.selectedIndex = options.findIndex(([option]) => same(option, value ?? null) || option === value); },
  };
}

/** A text that stands for a value: `parse` gives undefined for what does not. */
function textControl(parameter, id, show, parse, set, placeholder = "") {
  const box = h("input", { type: "text", id, placeholder, spellcheck: false, onchange: () => {
    const value = parse(box.value.trim());
    box.setAttribute("aria-invalid", String(value === undefined));
    if (value !== undefined) set(value, false);
  } });
  return { element: box, sync(value) { if (document.activeElement !== box) box.value = show(value); } };
}

/** A vector by name, and the controls of its own parameters below it. */
function vectorControl(parameter, id, set, explorer, depth) {
  const entries = explorer.catalogue.vectors.filter((entry) => depth < 2 || !entry.parameters.some(({ required }) => required));
  let controls = [], name = null, current = {};
  const select = h("select", { id, onchange: () => {
    const entry = entries[select.selectedIndex], start = startOf(entry, explorer);
    set(Object.keys(start).length ? { name: entry.name, parameters: start } : entry.name, false);
  } }, entries.map((entry) => h("option", { title: entry.summary }, entry.name)));
  const nested = h("div", { class: "mi-nested" });
  return {
    element: h("div", { class: "mi-vector" }, select, nested),
    sync(value) {
      const chosen = typeof value === "string" || !value ? { name: value, parameters: {} } : value;
      current = chosen.parameters ?? {};
      if (chosen.name !== name) {
        name = chosen.name;
        const entry = entries.find((known) => known.name === name);
        select.selectedIndex = entries.indexOf(entry);
        controls = (entry?.parameters ?? []).map((inner) => labelled(inner, `${id}-${inner.name}`, (part, live) =>
          set({ name, parameters: { ...current, [inner.name]: part } }, live), explorer, depth + 1));
        nested.replaceChildren(...controls.map(({ element }) => element));
      }
      for (const control of controls) control.sync(current[control.name]);
    },
  };
}

function controlOf(parameter, id, set, explorer, depth) {
  const list = (text) => {
    if (text === "") return parameter.optional ? null : undefined;
    const values = text.split(/[\s,]+/).filter(Boolean).map(Number);
    return values.every((value) => Number.isInteger(value) && value >= 0) ? (values.length === 1 ? values[0] : values) : undefined;
  };
  const pick = () => h("button", { type: "button", class: "mi-quiet", title: "Pick the square in the maze",
    "aria-label": `Pick ${labelOf(parameter.name)} in the maze`, onclick: () => explorer.pickSquare((square) => set(square, false)) },
  icon("target"));
  switch (parameter.type) {
    case "float": case "int": return numberControl(parameter, id, set);
    case "bool": {
      const box = h("input", { type: "checkbox", id, onchange: () => set(box.checked, false) });
      return { element: box, sync(value) { box.checked = value === true; } };
    }
    case "choice": return selectControl(id, [...(parameter.optional ? [[null, "none"]] : []),
      ...parameter.choices.map((choice) => [choice, String(choice)])], set);
    case "layer": {
      const layers = explorer.layers.map(({ name }) => [name, shortLayer(name)]);
      const standard = parameter.required || layers.some(([name]) => name === parameter.default) ? [] : [[parameter.default ?? "", "default"]];
      return selectControl(id, [...standard, ...layers], set);
    }
    case "vector": return vectorControl(parameter, id, set, explorer, depth);
    case "square": return numbersControl(parameter, id, ["x", "y"], set, pick());
    case "cell": return numbersControl(parameter, id, ["row", "column"], set);
    case "seeds": return numbersControl(parameter, id, ["first", "last + 1"], set);
    case "channels": return textControl(parameter, id, (value) => (value === null || value === undefined ? ""
      : [value].flat().join(", ")), list, set, parameter.optional ? "all" : "5 or 5, 7");
    case "unsupported": return { element: h("span", { class: "mi-hint" }, `in Python only: ${parameter.words}`), sync() {} };
    default: return textControl(parameter, id, (value) => value ?? "", (text) => (text === "" && parameter.optional ? null : text), set);
  }
}

/** A parameter's label and control. */
function labelled(parameter, id, set, explorer, depth = 0) {
  const control = controlOf(parameter, id, set, explorer, depth);
  return {
    name: parameter.name,
    element: h("div", { class: "mi-field", title: parameter.doc }, h("label", { htmlFor: id }, labelOf(parameter.name)), control.element),
    sync: (value) => control.sync(value === undefined ? parameter.default : value),
  };
}

const shortLayer = (name) => name.replace(/^embedder\./, "").replace(/_out$/, "");

function textOf(edit) {
  const show = (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? textOf(value)
    : Array.isArray(value) ? `(${value.join(", ")})` : typeof value === "number" ? String(value).replace("-", "−") : String(value));
  const parts = Object.entries(edit.parameters ?? {}).filter(([, value]) => value !== null)
    .map(([name, value]) => (name === "vector" || name === "coefficient" ? show(value) : `${name}=${show(value)}`));
  return `${edit.name}(${parts.join(", ")})`;
}

/** The stack of edits: in their order, each with its controls. */
class EditStack {
  constructor(explorer) {
    this.explorer = explorer;
    this.cards = new Map();
    this.list = h("ol", { class: "mi-stack", "aria-label": "Edits, in the order in which they apply" });
    this.empty = h("p", { class: "mi-hint" }, "No edits: this is the policy as it was trained. Subtract the cheese vector, or click a cell of a map to clamp it.");
    this.choice = h("select", { "aria-label": "An edit to add" });
    this.add = h("button", { type: "button", onclick: () => {
      const entry = explorer.catalogue.edits[this.choice.selectedIndex];
      explorer.addEdit({ name: entry.name, parameters: startOf(entry, explorer) });
    } }, "Add");
    this.element = h("section", { class: "mi-panel mi-edits", "aria-label": "Edits" },
      h("div", { class: "mi-head" }, h("h2", {}, "Edits"),
        h("button", { type: "button", class: "mi-accent", title: "Subtract the cheese vector: hide the cheese from the mind (−)",
          onclick: () => explorer.addVector("cheese", -1) }, "− cheese vector"),
        h("button", { type: "button", class: "mi-accent", title: "Add the top-right vector: pull to the corner (+)",
          onclick: () => explorer.addVector("top_right", 1) }, "+ top-right vector")),
      h("div", { class: "mi-row" }, this.choice, this.add),
      h("div", { class: "mi-scroll" }, this.empty, this.list));
  }

  /** The registry, once it is known. */
  setCatalogue(catalogue) {
    this.choice.replaceChildren(...catalogue.edits.map(({ name, summary }) => h("option", { title: summary, value: name }, `${name}: ${summary}`)));
  }

  update() {
    const { state } = this.explorer;
    const order = state.edits.map(({ key }) => key);
    for (const [key, card] of this.cards) if (!order.includes(key)) { card.element.remove(); this.cards.delete(key); }
    state.edits.forEach((edit, i) => {
      let card = this.cards.get(edit.key);
      if (!card || card.policy !== state.policy) {
        card?.element.remove();
        this.cards.set(edit.key, card = this.card(edit));
      }
      if (this.list.children[i] !== card.element) this.list.insertBefore(card.element, this.list.children[i] ?? null);
      card.sync(edit, i, order.length);
    });
    this.empty.hidden = order.length > 0;
    this.add.disabled = state.edits.length >= (this.explorer.catalogue?.limits?.edits ?? 16);
  }

  card(edit) {
    const { explorer } = this, { key } = edit;
    const entry = explorer.catalogue.edits.find(({ name }) => name === edit.name) ?? { parameters: [], summary: "unknown here" };
    const set = (name, value, live) => explorer.setParameter(key, name, value, live);
    const button = (label, picture, action) => h("button", { type: "button", class: "mi-quiet", title: label, "aria-label": `${label}: ${edit.name}`, onclick: action }, icon(picture));
    const up = button("Move up", "up", () => explorer.moveEdit(key, -1)), down = button("Move down", "down", () => explorer.moveEdit(key, 1));
    const on = h("input", { type: "checkbox", class: "mi-switch", role: "switch", "aria-label": `${edit.name} is on`,
      onchange: () => explorer.switchEdit(key, on.checked) });
    const grip = h("span", { class: "mi-grip", title: "Drag to reorder", "aria-hidden": "true", onpointerdown: (event) => this.drag(event, key) }, icon("grip"));
    const controls = entry.parameters.map((parameter) => labelled(parameter, `mi-${explorer.number}-${key}-${parameter.name}`,
      (value, live) => set(parameter.name, value, live), explorer));
    // At hand: what the edit must have, and what it was made with; the rest is folded away.
    const isMain = ({ name, required }) => required || (name in edit.parameters && name !== "layer");
    const part = (choose) => controls.filter((_, i) => choose(entry.parameters[i]));
    const main = [...part(({ required }) => required), ...part((parameter) => isMain(parameter) && !parameter.required)];
    const rest = part((parameter) => !isMain(parameter));
    const error = h("p", { class: "mi-error", role: "alert", hidden: true }), name = h("strong", { title: entry.summary }, edit.name);
    const element = h("li", { class: "mi-card" },
      h("div", { class: "mi-card-head" }, grip, on, name, h("span", { class: "mi-grow" }), up, down,
        button("Remove", "close", () => explorer.removeEdit(key))),
      h("div", { class: "mi-fields" }, main.map((control) => control.element)),
      rest.length ? h("details", {}, h("summary", {}, rest.map(({ name }) => labelOf(name)).join(", ")),
        h("div", { class: "mi-fields" }, rest.map((control) => control.element))) : null, error);
    return { element, policy: explorer.state.policy, sync(now, i, count) {
      on.checked = now.on;
      element.classList.toggle("mi-off", !now.on);
      up.disabled = i === 0;
      down.disabled = i === count - 1;
      for (const control of controls) control.sync(now.parameters[control.name]);
      const known = explorer.isCurrent("maze") ? explorer.maze.edits?.[i] : null;
      const text = known?.error ?? (explorer.editError?.key === key ? explorer.editError.text : "");
      if (known?.text) name.title = known.text;
      error.hidden = !text;
      if (error.textContent !== text) error.textContent = text;
    } };
  }

  /** Moves a card with the pointer, among the others. */
  drag(event, key) {
    event.preventDefault();
    const { explorer } = this, gesture = newKey(), dragging = new AbortController();
    const card = this.cards.get(key).element;
    card.classList.add("mi-dragged");
    document.addEventListener("pointermove", (move) => {
      const index = [...this.list.children].filter((other) => other !== card)
        .filter((other) => { const box = other.getBoundingClientRect(); return move.clientY > box.top + box.height / 2; }).length;
      const from = explorer.state.edits.findIndex((edit) => edit.key === key);
      if (index !== from) explorer.moveEdit(key, index - from, gesture);
    }, { signal: dragging.signal });
    const end = () => { dragging.abort(); card.classList.remove("mi-dragged"); };
    document.addEventListener("pointerup", end, { signal: dragging.signal });
    document.addEventListener("pointercancel", end, { signal: dragging.signal });
  }
}

// ---------------------------------------------------------------------------------------------------------------
// The mind: a diagram of the layers, the channels of one, and the map of one channel

const GLYPHS = { conv: "conv", maxpool: "pool", relu1: "relu", conv1: "conv", relu2: "relu", conv2: "conv", resadd: "+",
  relu3: "relu", relufc: "relu", flatten: "flat", fc: "fc", fc_policy: "policy", fc_value: "value" };

/** A layer's answer unpacked: { shape, values(channel), limit(channel), … }. */
class Maps {
  constructor(reply, key) {
    Object.assign(this, reply, { key });
    const [channels, rows = 1, columns = 1] = reply.shape;
    Object.assign(this, { channels, height: rows, width: columns, hasCells: reply.rows !== null, bytes: fromBase64(reply.maps) });
  }

  value(channel, row = 0, column = 0) {
    const low = this.minimum[channel], high = this.maximum[channel];
    return low + (high - low) * this.bytes[(channel * this.height + row) * this.width + column] / 255;
  }

  /** Draws a channel, one pixel a cell: 0 in the middle of a two-sided scale. */
  draw(canvas, channel, scale) {
    const { width, height } = this, image = new ImageData(width, height);
    const low = this.minimum[channel], high = this.maximum[channel], limit = limitOf(this, channel);
    const offset = channel * width * height;
    for (let i = 0; i < width * height; i++) {
      const value = low + (high - low) * this.bytes[offset + i] / 255;
      const [red, green, blue] = scale[Math.round(127.5 + 127.5 * between(value / limit, -1, 1))];
      image.data.set([red, green, blue, 255], 4 * i);
    }
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

class Mind {
  constructor(explorer) {
    this.explorer = explorer;
    this.buttons = new Map();
    this.tiles = [];
    this.drawn = null;
    this.diagram = h("div", { class: "mi-diagram", role: "group", "aria-label": "Layers of the network" });
    this.input = h("img", { class: "mi-input", alt: "What the policy sees: 64 by 64 pixels", width: 64, height: 64 });
    this.name = h("h3");
    this.layerName = h("p", { class: "mi-hint mi-layer-name" });
    this.about = h("p", { class: "mi-hint" });
    this.canvas = h("canvas", { class: "mi-map", width: 1, height: 1 });
    this.over = h("canvas", { class: "mi-map-over", "aria-hidden": "true" });
    this.stage = h("div", { class: "mi-stage", tabIndex: 0, role: "application",
      onpointermove: (event) => this.point(event), onpointerleave: () => { this.cell = null; explorer.invalidate(); },
      onclick: (event) => { this.point(event); this.clamp(); }, onkeydown: (event) => this.key(event),
      onblur: () => { this.cell = null; explorer.invalidate(); } }, this.canvas, this.over);
    this.reading = h("p", { class: "mi-reading" });
    this.over2 = h("input", { type: "checkbox", id: `mi-${explorer.number}-overlay`, onchange: () => explorer.setView({ tint: this.over2.checked ? "activation" : "none" }) });
    this.grid = h("div", { class: "mi-channels", role: "listbox", "aria-label": "Channels" });
    this.grid.addEventListener("keydown", (event) => this.step(event));
    this.scaleBar = h("canvas", { class: "mi-bar", width: 128, height: 1, "aria-hidden": "true" });
    this.least = h("span"); this.most = h("span");
    this.element = h("section", { class: "mi-panel mi-mind", "aria-label": "Mind" },
      h("div", { class: "mi-head" }, h("h2", {}, "Mind"), h("span", { class: "mi-hint" }, "click a layer, then a channel")),
      h("div", { class: "mi-network" }, h("figure", { class: "mi-figure" }, this.input, h("figcaption", {}, "input")), this.diagram),
      h("div", { class: "mi-channel" }, this.stage, h("div", { class: "mi-channel-side" }, this.name, this.layerName, this.reading,
        h("div", { class: "mi-scale" }, this.least, this.scaleBar, this.most),
        h("label", { class: "mi-check", htmlFor: this.over2.id }, this.over2, "over the maze"),
        h("p", { class: "mi-hint" }, "Click a cell to clamp it."))),
      this.about, h("div", { class: "mi-scroll" }, this.grid));
  }

  /** Builds the diagram of a policy's layers. */
  build() {
    const { explorer } = this, blocks = new Map(), head = [];
    this.buttons.clear();
    for (const { name, shape } of explorer.layers) {
      const found = /^embedder\.block(\d+)\.(?:(res\d+)\.)?(\w+)_out$/.exec(name);
      const text = found ? GLYPHS[found[3]] ?? found[3] : GLYPHS[shortLayer(name)] ?? shortLayer(name);
      const button = h("button", { type: "button", class: `mi-layer mi-${text === "+" ? "add" : text}`, title: `${name}, ${shape.join(" × ")}`,
        "aria-label": `Layer ${shortLayer(name)}, ${shape.join(" by ")}`, onclick: () => explorer.setView({ layer: name, channel: null }) }, text);
      this.buttons.set(name, button);
      if (!found) { head.push(button); continue; }
      if (!blocks.has(found[1])) blocks.set(found[1], { groups: new Map(), shape });
      const block = blocks.get(found[1]);
      block.shape = shape;
      const group = found[2] ?? "";
      if (!block.groups.has(group)) block.groups.set(group, []);
      block.groups.get(group).push(button);
    }
    this.diagram.replaceChildren(
      ...[...blocks].map(([name, { groups, shape }]) => h("div", { class: "mi-block", role: "group", "aria-label": `Block ${name}` },
        h("span", { class: "mi-block-name" }, `block ${name}`, h("small", {}, `${shape[0]} × ${shape[1]}²`)),
        [...groups].map(([group, buttons]) => h("span", { class: group ? "mi-res" : "mi-plain", title: group ? `${group}: residual block` : null }, buttons)))),
      h("div", { class: "mi-block", role: "group", "aria-label": "Head" }, h("span", { class: "mi-block-name" }, "head"), h("span", { class: "mi-plain" }, head)));
  }

  point(event) {
    const maps = this.explorer.layer;
    if (!maps) return;
    const box = this.canvas.getBoundingClientRect();
    this.cell = [Math.floor((event.clientY - box.top) / box.height * maps.height), Math.floor((event.clientX - box.left) / box.width * maps.width)]
      .map((place, i) => between(place, 0, (i ? maps.width : maps.height) - 1));
    this.explorer.invalidate();
  }

  key(event) {
    const maps = this.explorer.layer, step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!maps || (!step && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!step) return this.clamp();
    const [row, column] = this.cell ?? [Math.floor(maps.height / 2), Math.floor(maps.width / 2)];
    this.cell = [between(row + step[0], 0, maps.height - 1), between(column + step[1], 0, maps.width - 1)];
    this.explorer.invalidate();
    this.explorer.say(`Row ${this.cell[0]}, column ${this.cell[1]}: ${number(maps.value(this.explorer.channel, ...this.cell))}`);
  }

  clamp() {
    const maps = this.explorer.layer;
    if (maps && this.cell) this.explorer.addClamp(maps.hasCells ? { cell: this.cell } : {});
  }

  /** Arrow keys from channel to channel. */
  step(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns(), ArrowUp: -this.columns(), Home: -Infinity, End: Infinity };
    if (!(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    this.shift(moves[event.key], true);
  }

  columns() {
    const top = this.tiles[0]?.element.offsetTop;
    return Math.max(1, this.tiles.filter(({ element }) => element.offsetTop === top && !element.hidden).length);
  }

  /** Chooses the channel some places further in the ranking. */
  shift(by, focus = false) {
    const { explorer } = this, shown = explorer.layer?.order?.slice(0, MOST_CHANNELS) ?? [];
    if (!shown.length) return;
    const place = between(shown.indexOf(explorer.channel) + by, 0, shown.length - 1);
    explorer.setView({ channel: shown[place] });
    explorer.say(`Channel ${shown[place]}`);
    if (focus) this.tiles[place].element.focus();
    this.tiles[place].element.scrollIntoView({ block: "nearest" });
  }

  update() {
    const { explorer } = this, { view } = explorer, maps = explorer.layer;
    if (this.built !== explorer.layers) { this.build(); this.built = explorer.layers; }
    const edits = activeEdits(explorer.state);
    for (const [name, button] of this.buttons) {
      button.setAttribute("aria-pressed", String(name === view.layer));
      const isEdited = edits.some((edit) => explorer.layerOf(edit) === name);
      if (button.classList.toggle("mi-edited", isEdited)) button.dataset.edited = "edited here";
    }
    const png = explorer.maze?.observation_png;
    const source = png ? `data:image/png;base64,${png}` : "";
    if (png && this.input.src !== source) this.input.src = source;
    this.over2.checked = view.tint === "activation";
    this.element.classList.toggle("mi-stale", !explorer.isCurrent("layer"));
    if (!maps) return;
    const scale = explorer.scales.diverging, channel = explorer.channel;
    const drawn = [maps.key, explorer.theme].join();
    if (this.drawn !== drawn) {
      this.drawn = drawn;
      this.drawTiles(maps, scale);
    }
    for (const tile of this.tiles) {
      const chosen = tile.channel === channel;
      tile.element.setAttribute("aria-selected", String(chosen));
      tile.element.tabIndex = chosen ? 0 : -1;
    }
    const picked = [drawn, channel].join();
    if (this.picked !== picked) {
      this.picked = picked;
      maps.draw(this.canvas, channel, scale);
      maps.draw(explorer.overlay, channel, scale);
      this.least.textContent = number(-limitOf(maps, channel));
      this.most.textContent = number(limitOf(maps, channel));
      drawBar(this.scaleBar, scale);
    }
    this.name.textContent = `${maps.hasCells ? "Channel" : "Unit"} ${channel}`;
    this.layerName.textContent = shortLayer(view.layer);
    this.stage.setAttribute("aria-label", `Map of channel ${channel}, ${maps.height} by ${maps.width} cells. Arrow keys move, Enter clamps the cell.`);
    this.drawOver(maps, channel);
  }

  drawTiles(maps, scale) {
    const { explorer } = this, shown = maps.order.slice(0, MOST_CHANNELS), isFlat = !maps.hasCells;
    while (this.tiles.length < shown.length) {
      const canvas = h("canvas", { "aria-hidden": "true" }), label = h("span");
      const tile = { channel: 0, canvas, label };
      tile.element = h("button", { type: "button", role: "option", class: "mi-tile", onclick: () => explorer.setView({ channel: tile.channel }) }, canvas, label);
      this.tiles.push(tile);
      this.grid.append(tile.element);
    }
    this.tiles.forEach((tile, i) => {
      tile.element.hidden = i >= shown.length;
      if (tile.element.hidden) { tile.channel = null; return; }
      tile.channel = shown[i];
      tile.label.textContent = String(shown[i]);
      const range = isFlat ? number(maps.value(shown[i])) : `${number(maps.minimum[shown[i]])} to ${number(maps.maximum[shown[i]])}`;
      const score = maps.scores ? `, score ${number(maps.scores[shown[i]], 3)}` : "";
      tile.element.title = `${isFlat ? "Unit" : "Channel"} ${shown[i]}: ${range}${score}`;
      tile.element.setAttribute("aria-label", `${tile.element.title}, rank ${i + 1}`);
      maps.draw(tile.canvas, shown[i], scale);
    });
    this.grid.classList.toggle("mi-flat", isFlat);
    const many = maps.channels > shown.length ? `, the first ${shown.length} of ${maps.channels}` : "";
    this.about.textContent = `${plural(maps.channels, isFlat ? "unit" : "channel")} ${explorer.shownEdited ? "after the edits" : "before edits"}${many}, by ${maps.order_name}`;
  }

  /** Grid, mouse, cheese, clamps and the cell pointed at, over the map. */
  drawOver(maps, channel) {
    const { explorer } = this, size = Math.round(this.canvas.clientWidth), density = devicePixelRatio || 1;
    if (!size) return;
    if (this.over.width !== Math.round(size * density)) Object.assign(this.over, { width: Math.round(size * density), height: Math.round(size * density) });
    const context = this.over.getContext("2d"), palette = explorer.palette, step = size / maps.height;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, size, size);
    if (maps.height > 1 && maps.height <= 32) {
      context.strokeStyle = palette.grid;
      context.beginPath();
      for (let i = 1; i < maps.height; i++) {
        context.moveTo(i * step, 0); context.lineTo(i * step, size); context.moveTo(0, i * step); context.lineTo(size, i * step);
      }
      context.stroke();
    }
    const box = ([row, column], colour, width, dash = []) => {
      context.setLineDash(dash);
      context.lineWidth = width + 2;
      context.strokeStyle = palette.halo;
      context.strokeRect(column * step, row * step, step, step);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(column * step, row * step, step, step);
    };
    for (const edit of activeEdits(explorer.state)) {
      if (explorer.layerOf(edit) !== explorer.view.layer || ![edit.parameters.channel].flat().includes(channel)) continue;
      const cell = edit.parameters.cell ?? (edit.parameters.at && explorer.cellOf(edit.parameters.at));
      if (cell) box(cell, palette.orange, 2);
    }
    const { hover, state } = explorer, shown = this.cell ?? (hover && explorer.cellOf(hover));
    if (shown && maps.hasCells) box(shown, palette.cursor, 2);
    let text = maps.hasCells ? `${number(maps.minimum[channel])} to ${number(maps.maximum[channel])}` : number(maps.value(channel));
    if (shown && maps.hasCells) {
      const squares = explorer.squaresOf(shown);
      text = `row ${shown[0]}, column ${shown[1]}: ${number(maps.value(channel, ...shown))}`
        + (squares.length ? ` · ${squares.length === 1 ? "square" : "squares"} ${squares.slice(0, 4).map(at).join(" ")}${squares.length > 4 ? " …" : ""}` : " · no square");
    }
    if (maps.rows) {
      for (const [square, sign] of [...state.cheeses.map((cheese) => [cheese, "C"]), [state.mouse, "M"]]) {
        const [row, column] = explorer.cellOf(square);
        context.font = `600 ${Math.max(9, Math.min(12, step))}px system-ui, sans-serif`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.lineWidth = 3;
        context.setLineDash([]);
        context.strokeStyle = palette.halo;
        context.strokeText(sign, (column + 0.5) * step, (row + 0.5) * step);
        context.fillStyle = palette.ink;
        context.fillText(sign, (column + 0.5) * step, (row + 0.5) * step);
      }
    }
    if (this.reading.textContent !== text) this.reading.textContent = text;
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Outcome: what the policy would do, at one square and in the whole maze

class Outcome {
  constructor(explorer) {
    this.explorer = explorer;
    const row = (text, title) => {
      const before = h("td"), after = h("td", { class: "mi-after" });
      return { before, after, element: h("tr", {}, h("th", { scope: "row", title }, text), before, after) };
    };
    this.rows = {
      p_cheese: row("P(cheese)", "Exact probability of reaching the cheese within the horizon"),
      p_corner_first: row("P(corner first)", "Exact probability of coming by the corner before the cheese"),
      expected_steps: row("Expected steps", "Expected number of steps of the episode"),
      cheese_move: row("P(cheese | decision)", "At the decision square, the probability of the move towards the cheese"),
      corner_move: row("P(corner | decision)", "At the decision square, the probability of the move towards the corner"),
    };
    this.place = h("h3");
    this.moves = MOVES.map((move) => {
      const before = h("i", { class: "mi-fill" }), after = h("i", { class: "mi-fill mi-fill-after" });
      const text = [h("td"), h("td", { class: "mi-after" })];
      return { before, after, text, element: h("tr", {}, h("th", { scope: "row" }, { left: "← ", right: "→ ", up: "↑ ", down: "↓ ", stay: "· " }[move] + move),
        h("td", { class: "mi-bars" }, before, after), text) };
    });
    this.value = row("Value", "What the value head expects, in units of reward: the cheese is worth 10");
    this.value.element.children[0].after(h("td", { class: "mi-bars" }));
    this.notes = h("ul", { class: "mi-notes", "aria-label": "What cannot be measured here" });
    const head = (...cells) => h("thead", {}, h("tr", {}, cells));
    this.element = h("section", { class: "mi-panel mi-outcome", "aria-label": "Outcome" },
      h("div", { class: "mi-head" }, h("h2", {}, "Outcome"), h("span", { class: "mi-hint" }, "exact, from the mouse on")),
      h("table", {}, h("caption", { class: "mi-hidden" }, "Exact outcome before and after the edits"),
        head(h("td"), h("th", { scope: "col" }, "before"), h("th", { scope: "col", class: "mi-after" }, "after")),
        h("tbody", {}, Object.values(this.rows).map(({ element }) => element))),
      this.notes,
      h("div", { class: "mi-head" }, this.place),
      h("table", { class: "mi-moves" }, h("caption", { class: "mi-hidden" }, "Probabilities of the moves at this square"),
        h("tbody", {}, this.moves.map(({ element }) => element), this.value.element)));
  }

  update() {
    const { explorer } = this, set = (cell, text) => { if (cell.textContent !== text) cell.textContent = text; };
    this.element.classList.toggle("mi-with-edits", explorer.isEdited);
    const maze = explorer.maze, decision = maze?.decision;
    for (const [name, cells] of Object.entries(this.rows)) {
      for (const which of ["before", "after"]) {
        let value = explorer.outcome?.[which]?.[name], waiting = !explorer.isCurrent("outcome");
        if (which === "after" && explorer.editError) waiting = false;
        else if (name.endsWith("_move")) {
          const moves = decision && explorer.movesAt(which, decision.square);
          value = moves?.[MOVES.indexOf(decision[name])];
          waiting = !maze || (decision && !moves);
        }
        set(cells[which], value === undefined || value === null ? (waiting ? "…" : "–") : number(value, name === "expected_steps" ? 1 : 3));
      }
    }
    const rounded = explorer.outcome?.precision === "bfloat16" ? ["Computed in bfloat16, which moves probabilities by up to 0.05; the script and the data are exact."] : [];
    const notes = [...new Set([...(maze?.notes ?? []), ...(explorer.outcome?.notes ?? []), ...rounded])];
    if (!same(notes, this.shownNotes)) {
      this.shownNotes = notes;
      this.notes.replaceChildren(...notes.map((note) => h("li", {}, note)));
    }
    const [where, square] = explorer.pointed();
    set(this.place, `Square ${at(square)}${where}`);
    const wall = !isOpen(explorer.state, square);
    for (const which of ["before", "after"]) {
      const moves = explorer.movesAt(which, square), cell = which === "before" ? 0 : 1;
      this.moves.forEach((row, i) => {
        set(row.text[cell], moves ? number(moves[i], 3) : wall || hasCheese(explorer.state, square) || (cell && explorer.editError) ? "–" : "…");
        row[which].style.width = `${moves ? 100 * moves[i] : 0}%`;
      });
      set(this.value[which], moves ? number(moves.value, 2) : "–");
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------
// An episode, played and scrubbed through

class Player {
  constructor(explorer) {
    this.explorer = explorer;
    this.timer = null;
    this.play = h("button", { type: "button", class: "mi-play", "aria-label": "Play an episode", title: "Play an episode (E)", onclick: () => this.toggle() }, icon("play"), h("span", {}, "Episode"));
    this.slider = h("input", { type: "range", min: 0, max: 0, value: 0, disabled: true, "aria-label": "Step of the episode", oninput: () => { this.stop(); explorer.setStep(this.slider.valueAsNumber); } });
    this.greedy = selectControl(`mi-${explorer.number}-greedy`, [[false, "sampled"], [true, "greedy"]], (value) => explorer.setView({ greedy: value }));
    this.greedy.element.setAttribute("aria-label", "How moves are chosen");
    this.text = h("output", { class: "mi-reading" });
    this.clear = h("button", { type: "button", class: "mi-quiet", title: "Clear the episode", "aria-label": "Clear the episode", onclick: () => explorer.clearEpisode() }, icon("close"));
    this.element = h("div", { class: "mi-player", role: "group", "aria-label": "Episode" }, this.play, this.greedy.element, this.slider, this.text, this.clear);
  }

  async toggle() {
    const { explorer } = this;
    if (this.timer) return this.stop();
    if (!await explorer.playEpisode()) return;
    const steps = explorer.episode.squares.length - 1;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return explorer.setStep(steps);
    this.timer = setInterval(() => {
      if (!explorer.episode || explorer.step >= steps) return this.stop();
      explorer.setStep(explorer.step + 1);
    }, between(6000 / Math.max(1, steps), 25, 160));
    this.explorer.invalidate();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.explorer.invalidate();
  }

  update() {
    const { explorer } = this, { episode, step } = explorer, last = episode ? episode.squares.length - 1 : 0;
    if (!episode && this.timer) { clearInterval(this.timer); this.timer = null; }
    const playing = this.timer !== null;
    if (this.playing !== playing) {
      this.playing = playing;
      this.play.replaceChildren(icon(playing ? "pause" : "play"), h("span", {}, playing ? "Stop" : "Episode"));
      this.play.setAttribute("aria-label", playing ? "Stop the episode" : "Play an episode");
    }
    this.greedy.sync(explorer.view.greedy);
    this.slider.disabled = !episode;
    this.slider.max = last;
    this.slider.value = step;
    this.clear.hidden = !episode;
    const end = episode && step === last ? (episode.found ? " · cheese!" : " · no cheese") : "";
    const text = episode ? `${step} / ${last}${end}` : "";
    if (this.text.textContent !== text) this.text.textContent = text;
  }
}

// ---------------------------------------------------------------------------------------------------------------
// The explorer

let explorers = 0;

class Explorer {
  constructor(root, transport, options) {
    this.root = root;
    this.options = options;
    this.number = ++explorers;
    this.state = null;
    this.view = checkedView(null);
    this.catalogue = null;
    this.layers = [];
    this.past = [];
    this.future = [];
    this.gesture = null;
    this.fields = { before: null, after: null };
    this.kept = new Map(); // whole fields by key, the latest last
    this.answers = { maze: null, outcome: null, layer: null, paths: null };
    this.asked = {}; // kind → key of the last question
    this.episode = null;
    this.step = 0;
    this.seed = 0;
    this.marks = []; // what to measure when the next frame is drawn
    this.hover = this.cursor = this.picking = this.pulling = this.frozen = null;
    this.overlay = document.createElement("canvas");
    this.requests = new Requests(transport, () => this.showBusy());
    this.requests.onerror = (text) => this.notify(text, true);
    this.transport = transport;
    transport.onstatus = (isOpen) => this.connected(isOpen);
    this.build();
    this.setTheme(this.storedTheme());
    if (options.page) window.addEventListener("hashchange", () => { if (this.catalogue && location.hash.slice(1) !== this.hash) this.open(); });
  }

  // What is shown

  get isEdited() { return activeEdits(this.state).length > 0; }
  get tab() { return this.isEdited ? this.view.tab : "before"; }
  get shownEdited() { return this.tab !== "before" && !this.editError; }
  get which() { return this.shownEdited ? "after" : "before"; }
  get maze() { return this.answers.maze?.key.startsWith(`${this.place}\n`) ? this.answers.maze : null; } // its edits may be older
  get place() { return JSON.stringify([levelKey(this.state), this.state.mouse, this.state.maze_dim, this.state.seed]); }
  get outcome() { return this.isCurrent("outcome") ? this.answers.outcome : null; }
  get layer() { return this.answers.layer; } // perhaps stale: drawn faint then
  get channel() { return this.view.channel ?? this.layer?.order[0] ?? 0; }
  get walls() { return wallsOf(this.state); }

  /** Whether the last answer of a kind answers the present state. */
  isCurrent(kind) { return this.answers[kind] !== null && this.answers[kind].key === this.keyOf(kind); }

  keyOf(kind) {
    const state = plain(this.state);
    if (kind === "maze") return `${this.place}\n${JSON.stringify(state.edits)}`;
    if (kind === "layer") return JSON.stringify([levelKey(state), state.mouse, this.shownEdited && activeEdits(state), this.view.layer]);
    if (kind === "outcome") return JSON.stringify([levelKey(state), state.mouse, state.maze_dim, activeEdits(state)]);
    return JSON.stringify([levelKey(state), state.mouse, activeEdits(state)]);
  }

  /** Probabilities of the five moves at a square, with `value`; null where they are not known (yet). */
  movesAt(which, [x, y]) {
    const field = this.fields[which], world = WORLDS[this.state.mode];
    if (!field || x < 0 || y < 0 || x >= world || y >= world) return null;
    const i = y * world + x;
    if (Number.isNaN(field.value[i])) return null;
    return Object.assign(Array.from(field.moves.subarray(5 * i, 5 * i + 5)), { value: field.value[i] });
  }

  /** The square that the panel tells of: under the pointer, at the cursor, or the mouse's. */
  pointed() {
    if (this.hover) return ["", this.hover];
    if (this.cursor && document.activeElement === this.stage) return [", cursor", this.cursor];
    return [", the mouse's", this.episode ? this.episode.squares[this.step] : this.state.mouse];
  }

  cellOf(square) { return this.layer?.rows ? [this.layer.rows[square[1]], this.layer.columns[square[0]]] : null; }

  squaresOf([row, column]) {
    if (!this.layer?.rows) return [];
    const places = (cells, cell) => cells.map((other, i) => (other === cell ? i : -1)).filter((i) => i >= 0);
    return places(this.layer.columns, column).flatMap((x) => places(this.layer.rows, row).map((y) => [x, y]));
  }

  /** The layer at which an edit acts. */
  layerOf(edit) {
    const entry = this.catalogue?.edits.find(({ name }) => name === edit.name);
    return edit.parameters.layer || entry?.parameters.find(({ name }) => name === "layer")?.default || DEFAULT_LAYER;
  }

  // Changing the state

  /**
   * Makes a change: into the history, onto the screen in this frame, and to Python.
   * Changes of one `gesture` (a drag) are one step of the history; `time` is when the input happened.
   */
  change(patch, { gesture = null, time = performance.now() } = {}) {
    const next = { ...this.state, ...patch };
    if (same(next, this.state)) return;
    if (gesture === null || gesture !== this.gesture) {
      this.past = [...this.past.slice(-MOST_UNDO + 1), this.state];
      this.future = [];
    }
    this.gesture = gesture;
    this.become(next, time);
  }

  become(next, time = performance.now()) {
    const policy = this.state?.policy;
    this.state = next;
    if (policy !== next.policy) this.layers = this.catalogue?.layers[next.policy] ?? [];
    if (this.layers.length && !this.layers.some(({ name }) => name === this.view.layer)) {
      this.view = { ...this.view, layer: this.layers.find(({ name }) => name === DEFAULT_LAYER)?.name ?? this.layers[0].name, channel: null };
    }
    this.editError = null;
    this.marks.push(["maze-drawn", time]);
    this.pulse(time);
  }

  travel(from, to) {
    if (!from.length) return;
    to.push(this.state);
    this.gesture = null;
    this.become(from.pop());
    this.say(from === this.past ? "Undone" : "Done again");
  }

  undo() { this.travel(this.past, this.future); }
  redo() { this.travel(this.future, this.past); }

  setView(patch) {
    this.view = { ...this.view, ...patch };
    this.pulse();
  }

  /** Draws what is known, and asks for what is not: the field first, all else after it. */
  pulse(time = performance.now()) {
    if (!this.state) return;
    const wanted = this.isEdited && !this.editError ? ["before", "after"] : ["before"];
    for (const which of ["before", "after"]) {
      const key = fieldKey(this.state, which);
      if (!wanted.includes(which)) this.fields[which] = null;
      else if (this.fields[which]?.key !== key) this.fields[which] = this.kept.get(key) ?? null;
    }
    const missing = wanted.filter((which) => !this.fields[which]?.done);
    const question = JSON.stringify([fieldKey(this.state, "after"), missing]);
    if (!missing.length) {
      if (this.asked.field) this.requests.drop("field");
      this.asked.field = null;
    } else if (question !== this.asked.field) {
      this.asked.field = question;
      this.askField(missing, time);
    }
    if (this.episode && this.episode.key !== this.episodeKey()) { this.episode = null; this.step = 0; }
    this.askIf("maze", {});
    if (!missing.length) this.askRest();
    else for (const kind of ["layer", "outcome", "paths"]) if (!this.isCurrent(kind)) this.forget(kind);
    this.writeHash();
    this.invalidate();
  }

  forget(kind) {
    if (this.asked[kind]) this.requests.drop(kind);
    this.asked[kind] = null;
  }

  askField(missing, time) {
    const keys = Object.fromEntries(missing.map((which) => [which, fieldKey(this.state, which)]));
    const world = WORLDS[this.state.mode], { edits } = this.state;
    for (const which of missing) {
      if (this.fields[which]) continue; // a part of it is here already, and holds
      this.fields[which] = { key: keys[which], moves: new Float32Array(5 * world * world).fill(NaN), value: new Float32Array(world * world).fill(NaN), done: false };
    }
    let first = true;
    this.requests.ask("field", { state: plain(this.state), which: missing }, (reply) => {
      const field = this.fields[reply.which];
      if (field && reply.squares && missing.includes(reply.which)) {
        reply.squares.forEach(([x, y], i) => {
          field.moves.set(reply.moves[i], 5 * (y * world + x));
          field.value[y * world + x] = reply.value[i];
        });
        if (field.value.filter((value) => !Number.isNaN(value)).length >= this.countSquares()) this.keep(field);
        if (first) { this.marks.push(["first-arrows", time]); this.askIf("layer", { layer: this.view.layer, edited: this.shownEdited }); }
        else if (performance.now() - this.drawn < BETWEEN_PARTS) return; // drawing every part would keep the next from coming
        first = false;
      }
      if (reply.done !== false) {
        const trouble = reply.edit_error; // what the policy does without the edits is there all the same
        if (trouble) {
          this.editError = { key: edits[trouble.edit]?.key ?? null, text: trouble.error };
          this.fields.after = null;
          this.say(trouble.error);
        }
        for (const which of missing) if (this.fields[which]) this.keep(this.fields[which]);
        this.asked.field = null;
        this.marks.push(["whole-field", time]);
        this.askRest();
      }
      this.invalidate();
    }, (text, message) => {
      this.asked.field = null;
      const edit = edits[message.edit];
      if (edit) this.editError = { key: edit.key, text };
      else this.notify(text, true);
      this.say(text);
      this.invalidate();
    });
  }

  /** How many squares a field covers: the free ones but those with a cheese. */
  countSquares() { return this.walls.length - this.walls.reduce((sum, wall) => sum + wall, 0) - this.state.cheeses.length; }

  /** A field is whole: it is kept for when the same question comes again. */
  keep(field) {
    field.done = true;
    this.kept.delete(field.key);
    this.kept.set(field.key, field);
    while (this.kept.size > MOST_FIELDS) this.kept.delete(this.kept.keys().next().value);
  }

  /** What comes after the field: the layer that is looked at, the exact outcome, and the paths if they are shown. */
  askRest() {
    this.askIf("layer", { layer: this.view.layer, edited: this.shownEdited });
    this.askIf("outcome", {});
    if (this.view.tint === "paths" && this.tab !== "difference") this.askIf("paths", {});
    this.tell();
  }

  /** Asks a question of one answer, unless that is here or on its way. */
  askIf(kind, content) {
    const key = this.keyOf(kind);
    if (this.answers[kind]?.key === key || this.asked[kind] === key) return;
    this.asked[kind] = key;
    this.requests.ask(kind, { state: plain(this.state), ...content }, (reply) => {
      if (reply.done !== false) this.asked[kind] = null; // a layer comes twice: ranked at once, and by the probe
      this.answers[kind] = kind === "layer" ? new Maps(reply, key) : { ...reply, key };
      if (kind === "layer" && this.view.channel !== null && this.view.channel >= this.layer.channels) this.view = { ...this.view, channel: null };
      if (kind === "outcome") this.tell();
      this.invalidate();
    }, (text, message) => {
      this.asked[kind] = null;
      // An edit's own error is shown at the edit, once: the field has said it.
      if (!Number.isInteger(message.edit)) this.notify(text, true);
    });
  }

  // Edits of the maze

  setMouse(square, how) {
    if (isOpen(this.state, square)) this.change({ mouse: square }, how);
  }

  setCheese(square, from, how) {
    if (!isOpen(this.state, square) || (hasCheese(this.state, square) && !same(square, from))) return;
    const others = from ? this.state.cheeses.filter((cheese) => !same(cheese, from)) : [];
    this.change({ cheeses: [...others, square] }, how);
  }

  toggleCheese(square, how) {
    if (!isOpen(this.state, square)) return;
    const { cheeses } = this.state;
    this.change({ cheeses: hasCheese(this.state, square) ? cheeses.filter((cheese) => !same(cheese, square)) : [...cheeses, square] }, how);
  }

  removeCheese() { this.change({ cheeses: [] }); }

  /** Builds or opens walls; the mouse and the cheese keep their squares. */
  setWalls(squares, build, how) {
    const world = WORLDS[this.state.mode], walls = this.walls.slice();
    for (const square of squares) {
      const [x, y] = square;
      if (x < 0 || y < 0 || x >= world || y >= world || (build && (same(square, this.state.mouse) || hasCheese(this.state, square)))) continue;
      walls[y * world + x] = build ? 1 : 0;
    }
    this.change({ grid: packWalls(walls) }, how);
  }

  async loadLevel(content) {
    try {
      const reply = await this.requests.fetch("level", { mode: this.state?.mode ?? "hard", seed: null, ...content });
      const { mode, grid, cheeses, mouse, background, reflected, seed = null, maze_dim = null } = reply;
      const level = { mode, grid, cheeses, mouse, background, reflected, seed, maze_dim };
      if (this.state) this.change(level);
      else {
        const start = this.catalogue.start ?? {};
        const policy = start.policy ?? (this.catalogue.policies.find((known) => known.default) ?? this.catalogue.policies[0]).name;
        this.become({ policy, ...level, edits: [] });
      }
    } catch (error) {
      this.notify(error.message, true);
    }
  }

  // Edits of the forward pass

  addEdit({ name, parameters }) {
    if (this.state.edits.length >= (this.catalogue.limits?.edits ?? 16)) return this.notify("The stack of edits is full; remove one first.", true);
    const wasEdited = this.isEdited;
    this.view = { ...this.view, tab: !wasEdited && this.view.tab === "before" ? "after" : this.view.tab };
    this.change({ edits: [...this.state.edits, { name, parameters, on: true, key: newKey() }] });
    requestAnimationFrame(() => this.edits.list.lastElementChild?.scrollIntoView({ block: "nearest" }));
    this.say(`Added ${name}; ${plural(this.state.edits.length, "edit")} in the stack`);
  }

  addVector(vector, coefficient) { this.addEdit({ name: "add", parameters: { vector, coefficient } }); }

  /** Clamps the chosen channel, at a cell or a square, to the most that it now reaches anywhere. */
  addClamp(place) {
    if (!this.layer) return;
    const most = Math.round(10 * this.layer.maximum[this.channel]) / 10;
    this.addEdit({ name: "clamp", parameters: { channel: this.channel, ...place, value: most > 0 ? most : 1, layer: this.view.layer } });
  }

  changeEdit(key, patch, how) {
    this.change({ edits: this.state.edits.map((edit) => (edit.key === key ? { ...edit, ...patch } : edit)) }, how);
  }

  setParameter(key, name, value, live) {
    const edit = this.state.edits.find((known) => known.key === key);
    this.changeEdit(key, { parameters: { ...edit.parameters, [name]: value } }, { gesture: live ? `${key} ${name}` : null });
    if (!live) this.gesture = null;
  }

  switchEdit(key, on) { this.changeEdit(key, { on }); }
  removeEdit(key) { this.change({ edits: this.state.edits.filter((edit) => edit.key !== key) }); }

  moveEdit(key, by, gesture = null) {
    const edits = [...this.state.edits], from = edits.findIndex((edit) => edit.key === key);
    const [edit] = edits.splice(from, 1);
    edits.splice(between(from + by, 0, edits.length), 0, edit);
    this.change({ edits }, { gesture });
  }

  /** The next click on the maze answers with its square. */
  pickSquare(answer) {
    this.picking = answer;
    this.say("Click a square in the maze, or choose one with the arrow keys and Enter");
    this.notify("Click a square in the maze (Escape to leave it).");
    this.stage.focus();
    this.invalidate();
  }

  // Episodes

  episodeKey() { return JSON.stringify([fieldKey(this.state, "after"), this.state.mouse, this.which, this.view.greedy]); }

  async playEpisode() {
    const key = this.episodeKey();
    try {
      const reply = await this.requests.fetch("episode", { state: plain(this.state), edited: this.shownEdited, greedy: this.view.greedy, seed: this.seed++ });
      if (key !== this.episodeKey()) return false;
      this.episode = { ...reply, key };
      this.step = 0;
      this.invalidate();
      this.say(`Episode of ${plural(reply.squares.length - 1, "step")}, ${reply.found ? "which reaches the cheese" : "without the cheese"}`);
      return true;
    } catch (error) {
      this.notify(error.message, true);
      return false;
    }
  }

  setStep(step) {
    if (!this.episode) return;
    this.step = between(step, 0, this.episode.squares.length - 1);
    this.invalidate();
  }

  clearEpisode() { this.episode = null; this.step = 0; this.invalidate(); }

  // Share and leave

  /** The address's fragment: the whole state and the view. */
  encoded() {
    const { tab, tint, marks, tool, whole, layer, channel, greedy } = this.view;
    const text = JSON.stringify({ state: plain(this.state), view: { tab, tint, marks, tool, whole, layer, channel, greedy } });
    return toBase64url(new TextEncoder().encode(text));
  }

  writeHash() {
    if (!this.options.page) return;
    clearTimeout(this.hashTimer);
    this.hashTimer = setTimeout(() => this.writeHashNow(), 250); // browsers refuse very many changes of the address
  }

  writeHashNow() {
    this.hash = this.encoded();
    history.replaceState(null, "", `#${this.hash}`);
  }

  /** Restores what the address says, or the start. */
  async open() {
    const start = this.catalogue.start ?? {};
    let saved = this.options.page && location.hash.length > 1 ? location.hash.slice(1) : null;
    if (saved !== null || start.state) {
      try {
        const { state, view } = saved !== null ? JSON.parse(new TextDecoder().decode(fromBase64(saved))) : start;
        const checked = checkedState(state);
        this.view = checkedView(view);
        if (this.state) this.change(checked);
        else this.become(checked);
        return;
      } catch (error) {
        this.notify(`The address holds no readable state (${error.message}); here is a maze instead.`, true);
      }
    }
    await this.loadLevel({ seed: start.seed ?? 0, mode: start.mode ?? "hard" });
  }

  async copyLink() {
    this.writeHashNow();
    await this.copy(location.href, "The address of this view is copied.");
  }

  async copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
      this.notify(said);
      return true;
    } catch {
      this.notify("The browser does not let the page copy; select the text and copy it yourself.", true);
      return false;
    }
  }

  async showPython() {
    try {
      const { code } = await this.requests.fetch("python", { state: plain(this.state) });
      this.code.textContent = code;
      this.codeDialog.showModal();
      await this.copy(code, "The script is copied.");
    } catch (error) {
      this.notify(error.message, true);
    }
  }

  get fileName() {
    const { seed, policy } = this.state;
    return `${policy.replace(/[^\w.-]+/g, "_")}_${seed === null ? "own_maze" : `level_${seed}`}_${this.tab}`;
  }

  async saveData() {
    try {
      const { csv } = await this.requests.fetch("data", { state: plain(this.state) });
      download(`${this.fileName}.csv`, new Blob([csv], { type: "text/csv" }));
    } catch (error) {
      this.notify(error.message, true);
    }
  }

  /** The maze as it is shown, in the light colours, with a title that says level, policy and edits. */
  savePicture() {
    const size = 1200, head = 120, margin = 30, canvas = h("canvas", { width: size + 2 * margin, height: size + head + margin });
    const maze = h("canvas", { width: size, height: size }), context = canvas.getContext("2d");
    const window = this.window();
    const scene = { ...this.scene(LIGHT, scalesOf(LIGHT)), hover: null, cursor: null };
    new Painter(maze.getContext("2d"), LIGHT, window, WORLDS[this.state.mode], size, 1).paint(scene);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(maze, margin, head);
    context.fillStyle = LIGHT.ink;
    context.font = "700 34px system-ui, sans-serif";
    context.fillText(`${this.levelName()}: ${this.tab}`, margin, 56);
    context.fillStyle = "#69707d";
    context.font = "24px system-ui, sans-serif";
    context.fillText([this.state.policy, ...(this.shownEdited ? activeEdits(this.state).map(textOf) : [])].join(" + "), margin, 94, size);
    canvas.toBlob((blob) => download(`${this.fileName}.png`, blob), "image/png");
  }

  levelName() {
    const { seed, maze_dim: dim, mode } = this.state;
    return `${seed === null ? "Own maze" : `Level ${seed}${this.maze?.edited ? " (edited)" : ""}`}${dim ? `, ${dim} × ${dim}` : ""}${mode === "hard" ? "" : `, ${mode}`}`;
  }

  // Drawing

  window() { return this.frozen ?? windowOf(this.state, this.view.whole); }

  invalidate() {
    if (this.frame || !this.state) return;
    this.frame = requestAnimationFrame(() => { this.frame = null; this.render(); });
  }

  render() {
    this.drawn = performance.now();
    const density = devicePixelRatio || 1, size = this.size;
    if (size > 0) {
      const pixels = Math.round(size * density);
      if (this.canvas.width !== pixels) Object.assign(this.canvas, { width: pixels, height: pixels });
      this.mind.update(); // first: the maze may show its map
      new Painter(this.canvas.getContext("2d"), this.palette, this.window(), WORLDS[this.state.mode], size, density).paint(this.scene(this.palette, this.scales));
    }
    this.bar.update();
    this.edits.update();
    this.outcomePanel.update();
    this.player.update();
    const marks = this.marks.splice(0);
    if (marks.length) {
      const channel = new MessageChannel(); // its message comes once this frame is drawn
      channel.port1.onmessage = () => {
        for (const [name, start] of marks) performance.measure(name, { start, end: performance.now() });
        channel.port1.close();
      };
      channel.port2.postMessage(null);
    }
  }

  scene(palette, scales) {
    const { state, view, tab } = this, maze = this.maze, world = WORLDS[state.mode];
    const { before, after } = this.fields, shown = tab === "after" ? after : before;
    const arrows = [], change = [];
    for (let y = 0; y < world; y++) {
      for (let x = 0; x < world; x++) {
        const i = y * world + x;
        if (!shown || Number.isNaN(shown.value[i]) || (tab === "difference" && (!after || Number.isNaN(after.value[i])))) continue;
        const arrow = (field) => [field.moves[5 * i + 1] - field.moves[5 * i], field.moves[5 * i + 2] - field.moves[5 * i + 3]];
        if (tab !== "difference") { arrows.push([x, y, ...arrow(shown)]); continue; }
        const [one, other] = [arrow(before), arrow(after)];
        arrows.push([x, y, (other[0] - one[0]) / 2, (other[1] - one[1]) / 2]);
        let distance = 0;
        for (let move = 0; move < 5; move++) distance += Math.abs(after.moves[5 * i + move] - before.moves[5 * i + move]) / 2;
        change.push([x, y, distance]);
      }
    }
    let tint = null;
    if (tab === "difference") tint = { scale: scales.heat, low: 0, high: 1, squares: change, label: "change in moves (total variation)" };
    else if (view.tint === "paths") tint = { scale: scales.heat, low: 0, high: 1, squares: (this.isCurrent("paths") && this.answers.paths[this.which]) || [], label: "path probability" };
    else if (view.tint === "value") {
      const squares = [];
      shown?.value.forEach((value, i) => { if (!Number.isNaN(value)) squares.push([i % world, Math.floor(i / world), value]); });
      tint = { scale: scales.heat, low: 0, high: 10, squares, label: "value (the cheese is worth 10)" };
    }
    const layer = this.layer, hasMap = view.tint === "activation" && this.isCurrent("layer") && layer.hasCells;
    const pointedCell = this.mind.cell ?? (this.hover && this.cellOf(this.hover));
    const ways = view.marks.ways && maze ? [
      { squares: maze.path_corner ?? [], colour: palette.blue, dash: [0.02, 0.26], offset: -0.11 },
      { squares: maze.path_cheese ?? [], colour: palette.orange, dash: [0.34, 0.24], offset: 0.11 },
    ] : [];
    const { episode, step } = this;
    return {
      walls: this.walls, cheeses: state.cheeses, mouse: state.mouse, reflected: state.reflected, arrows, tint, ways,
      map: hasMap ? { image: this.overlay, cells: layer.height, picked: pointedCell } : null,
      trail: episode ? episode.squares.slice(0, step + 1) : null,
      ghost: episode ? { square: episode.squares[step], reflected: episode.reflected?.[step] ?? false } : null,
      decision: view.marks.decision && maze?.decision ? maze.decision.square : null,
      corner: view.marks.corner && maze?.corner ? maze.corner : null,
      clamps: activeEdits(state).filter((edit) => isSquare(edit.parameters.at, world)).map((edit) => edit.parameters.at),
      hover: this.hover, cursor: this.cursor && this.stage.matches(":focus-visible") ? this.cursor : null,
    };
  }

  // Words for those who listen

  say(text) {
    this.live.textContent = "";
    requestAnimationFrame(() => { this.live.textContent = text; });
  }

  /** Describes the maze and the policy's answer, once things have settled. */
  tell() {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      if (!this.state || this.requests.busy) return;
      const { state, outcome } = this, moves = this.movesAt(this.which, state.mouse);
      const best = moves ? MOVES[moves.indexOf(Math.max(...moves))] : null;
      this.summary.textContent = [
        `${this.levelName()}; mouse at ${at(state.mouse)}`,
        state.cheeses.length ? `; cheese at ${state.cheeses.map(at).join(" and ")}.` : "; no cheese.",
        moves ? ` At the mouse the policy moves ${best} with probability ${number(Math.max(...moves))}.` : "",
        outcome ? ` Probability of the cheese ${number(outcome.before?.p_cheese)}${this.isEdited ? `, after the edits ${number(outcome.after?.p_cheese)}` : ""}.` : "",
      ].join("");
    }, 500);
  }

  describe(square) {
    const { state } = this;
    const what = !isOpen(state, square) ? "wall" : [same(square, state.mouse) && "mouse", hasCheese(state, square) && "cheese"].filter(Boolean).join(" and ") || "free";
    const moves = this.movesAt(this.which, square);
    const odds = moves ? `; ${MOVES.map((move, i) => [moves[i], move]).filter(([p]) => p >= 0.05).sort(([p], [q]) => q - p).map(([p, move]) => `${move} ${number(p)}`).join(", ")}; value ${number(moves.value, 1)}` : "";
    return `${square[0]}, ${square[1]}: ${what}${odds}`;
  }

  notify(text, isError = false) {
    this.notice.textContent = text;
    this.notice.className = `mi-notice${isError ? " mi-notice-error" : ""}`;
    this.notice.setAttribute("role", isError ? "alert" : "status");
    clearTimeout(this.noticeTimer);
    this.noticeTimer = setTimeout(() => this.notice.classList.add("mi-gone"), isError ? 9000 : 3500);
  }

  showBusy() {
    this.root.setAttribute("aria-busy", String(this.requests.busy || !this.state));
  }

  // Connection

  async connected(isOpen) {
    this.requests.newest.clear();
    this.asked = {};
    for (const which of ["before", "after"]) if (!this.fields[which]?.done) this.fields[which] = null;
    this.offline.hidden = isOpen;
    this.showBusy();
    if (!isOpen) return;
    if (this.state) return this.pulse();
    try {
      this.catalogue = await this.requests.fetch("catalogue", {});
      this.edits.setCatalogue(this.catalogue);
      this.bar.setCatalogue(this.catalogue);
      await this.open();
    } catch (error) {
      this.notify(error.message, true);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------
// The bars above and below the maze

class Bar {
  constructor(explorer) {
    this.explorer = explorer;
    const id = (name) => `mi-${explorer.number}-${name}`;
    const button = (text, picture, title, action, properties = {}) => h("button", { type: "button", title, "aria-label": picture ? title : null, onclick: action, ...properties }, picture && icon(picture), text && h("span", { class: picture ? "mi-label" : null }, text));
    const change = (patch) => explorer.change(patch);
    this.policy = h("select", { id: id("policy"), onchange: () => change({ policy: this.policy.value }) });
    this.seed = h("input", { type: "number", id: id("seed"), min: 0, max: 2147483647, step: 1, class: "mi-seed", onchange: () => this.load() });
    this.edited = h("span", { class: "mi-hint" });
    this.size = h("select", { id: id("size"), onchange: () => explorer.loadLevel(this.content({ seed: null })) });
    this.mode = h("select", { id: id("mode"), onchange: () => { this.sizes(this.mode.value); explorer.loadLevel({ mode: this.mode.value, seed: this.seed.value === "" ? null : this.seed.valueAsNumber }); } },
      Object.entries(WORLDS).map(([mode, world]) => h("option", { value: mode }, `${mode} ${world}²`)));
    this.background = h("select", { id: id("background"), onchange: () => change({ background: Number(this.background.value) }) }, Array.from({ length: 9 }, (_, i) => h("option", { value: i }, String(i))));
    this.undo = button("", "undo", "Undo (U)", () => explorer.undo());
    this.redo = button("", "redo", "Redo (R)", () => explorer.redo());
    const field = (text, control) => h("label", { class: "mi-labelled", htmlFor: control.id }, h("span", {}, text), control);
    this.header = h("header", { class: "mi-header" }, brand(), field("policy", this.policy), field("level", this.seed), this.edited,
      button("New", "dice", "A new maze, of the chosen size (N)", () => explorer.newMaze()), field("size", this.size), field("mode", this.mode), field("background", this.background),
      h("span", { class: "mi-group" }, this.undo, this.redo), h("span", { class: "mi-grow" }),
      h("span", { class: "mi-group", role: "group", "aria-label": "Share" },
        explorer.options.page && button("Link", "link", "Copy the address of this view", () => explorer.copyLink()),
        button("Python", "code", "Copy as Python: a script that reproduces this view", () => explorer.showPython()),
        button("Picture", "picture", "Save the maze as a picture (PNG)", () => explorer.savePicture()),
        button("Data", "table", "Save the policy's answers as a table (CSV)", () => explorer.saveData())),
      h("span", { class: "mi-group" }, button("", "theme", "Light or dark (T)", () => explorer.toggleTheme()),
        button("?", null, "Keyboard and mouse (?)", () => explorer.helpDialog.showModal(), { "aria-label": "Help: keyboard and mouse" })));
    this.tools = new Map(TOOLS.map(([name, text, title, key]) => [name, h("button", { type: "button", title: `${title} (${key.toUpperCase()})`, onclick: () => explorer.setView({ tool: name }) }, text)]));
    this.tabs = new Map(TABS.map((tab, i) => [tab, h("button", { type: "button", title: `${tab} (${i + 1})`, onclick: () => explorer.setView({ tab }) }, tab[0].toUpperCase() + tab.slice(1))]));
    this.remove = button("", "remove", "Remove every cheese (X)", () => explorer.removeCheese(), { class: "mi-remove" });
    this.turn = button("", "turn", "Turn the mouse round: the policy sees which way it faces (F)", () => change({ reflected: !explorer.state.reflected }));
    this.toolbar = h("div", { class: "mi-toolbar" },
      h("span", { class: "mi-segments", role: "group", "aria-label": "Tool" }, [...this.tools.values()]), this.remove, this.turn, h("span", { class: "mi-grow" }),
      h("span", { class: "mi-segments", role: "group", "aria-label": "Policy shown" }, [...this.tabs.values()]));
    this.checks = new Map(MARKS.map(([mark]) => [mark, h("input", { type: "checkbox", id: id(mark), onchange: () => explorer.setView({ marks: { ...explorer.view.marks, [mark]: !explorer.view.marks[mark] } }) })]));
    this.tint = selectControl(id("tint"), TINTS, (tint) => explorer.setView({ tint }));
    this.tint.element.setAttribute("aria-label", "Tint of the squares");
    this.whole = h("input", { type: "checkbox", id: id("whole"), onchange: () => explorer.setView({ whole: this.whole.checked }) });
    this.scale = h("canvas", { class: "mi-bar", width: 128, height: 1, "aria-hidden": "true" });
    this.low = h("span"); this.high = h("span"); this.legendText = h("span", { class: "mi-label" });
    this.legend = h("span", { class: "mi-legend" }, this.low, this.scale, this.high, this.legendText);
    this.options = h("div", { class: "mi-options" }, MARKS.map(([mark, text, title]) => h("label", { class: `mi-check mi-mark-${mark}`, title, htmlFor: this.checks.get(mark).id }, this.checks.get(mark), h("span", {}, text))),
      h("label", { class: "mi-check", title: "Show the whole world, not the maze alone (Z)", htmlFor: this.whole.id }, this.whole, "World"), h("span", { class: "mi-grow" }), this.legend, this.tint.element);
  }

  setCatalogue(catalogue) {
    this.policy.replaceChildren(...catalogue.policies.map(({ name, summary }) => h("option", { value: name, title: summary }, name)));
    this.sizes("hard");
  }

  sizes(mode) {
    if (this.sizesOf === mode) return;
    this.sizesOf = mode;
    const dims = Array.from({ length: (WORLDS[mode] - 1) / 2 }, (_, i) => 2 * i + 3);
    this.size.replaceChildren(h("option", { value: "" }, "any"), ...dims.map((dim) => h("option", { value: dim }, `${dim} × ${dim}`)));
  }

  /** What a new maze is asked for with. */
  content(more) { return { mode: this.mode.value, ...(this.size.value ? { maze_dim: Number(this.size.value) } : {}), ...more }; }

  load() {
    const seed = this.seed.valueAsNumber;
    if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31) {
      this.size.value = "";
      this.explorer.loadLevel({ mode: this.mode.value, seed });
    }
  }

  update() {
    const { explorer } = this, { state, view } = explorer, set = (control, value) => { if (control.value !== String(value)) control.value = value; };
    set(this.policy, state.policy);
    this.sizes(state.mode);
    set(this.mode, state.mode);
    set(this.background, state.background);
    if (state !== this.shown) {
      this.shown = state;
      set(this.seed, state.seed ?? "");
    }
    const edited = explorer.maze?.edited ? " (edited)" : "";
    if (explorer.maze && this.edited.textContent !== edited) this.edited.textContent = edited;
    this.undo.disabled = !explorer.past.length;
    this.redo.disabled = !explorer.future.length;
    this.remove.disabled = !state.cheeses.length;
    for (const [tool, button] of this.tools) button.setAttribute("aria-pressed", String(tool === view.tool));
    for (const [tab, button] of this.tabs) {
      button.setAttribute("aria-pressed", String(tab === explorer.tab));
      button.disabled = tab !== "before" && !explorer.isEdited;
    }
    for (const [mark, box] of this.checks) box.checked = view.marks[mark];
    this.whole.checked = view.whole;
    this.tint.sync(view.tint);
    this.tint.element.disabled = explorer.tab === "difference";
    this.drawLegend();
  }

  drawLegend() {
    const { explorer } = this, { view, tab, layer, channel } = explorer;
    const isMap = tab !== "difference" && view.tint === "activation";
    const [low, high, text] = tab === "difference" ? ["0", "1", "change in moves"] : view.tint === "paths" ? ["0", "1", "path probability"]
      : view.tint === "value" ? ["0", "10", "value"] : isMap && layer ? [number(-limitOf(layer, channel)), number(limitOf(layer, channel)), `channel ${channel}`] : [null];
    this.legend.hidden = low === null;
    if (low === null) return;
    [this.low.textContent, this.high.textContent, this.legendText.textContent] = [low, high, text];
    this.legend.title = text;
    const key = `${isMap} ${explorer.theme}`;
    if (key === this.legendKey) return;
    this.legendKey = key;
    drawBar(this.scale, explorer.scales[isMap ? "diverging" : "heat"]);
  }
}

const limitOf = (maps, channel) => Math.max(Math.abs(maps.minimum[channel]), Math.abs(maps.maximum[channel])) || 1;
const scalesOf = (palette) => ({ heat: scaleOf(palette.heat), diverging: scaleOf(palette.diverging) });

function drawBar(canvas, scale) {
  const image = new ImageData(128, 1);
  for (let i = 0; i < 128; i++) image.data.set([...scale[2 * i], 255], 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The name, and the cheese of the maze beside it. */
function brand() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("class", "mi-logo");
  svg.setAttribute("aria-hidden", "true");
  for (const [kind, colour, d] of DRAWINGS.cheese) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute(kind, colour);
    path.setAttribute("d", d);
    svg.append(path);
  }
  return h("h1", { class: "mi-brand" }, svg, "mazeinterp");
}

// The explorer's body, and what mouse and keyboard do: kept apart from what they lead to.

Object.assign(Explorer.prototype, {
  build() {
    const { root } = this;
    this.bar = new Bar(this);
    this.mind = new Mind(this);
    this.edits = new EditStack(this);
    this.outcomePanel = new Outcome(this);
    this.player = new Player(this);
    this.canvas = h("canvas", { class: "mi-maze", "aria-hidden": "true" });
    this.summary = h("p", { class: "mi-hidden", id: `mi-${this.number}-summary`, role: "status", "aria-live": "polite" });
    this.live = h("p", { class: "mi-hidden", role: "status", "aria-live": "assertive" });
    this.stage = h("div", { class: "mi-maze-stage", tabIndex: 0, role: "application", "aria-roledescription": "maze",
      "aria-label": "Maze. Arrow keys move the cursor, Enter or Space uses the tool, question mark lists the keys.",
      "aria-describedby": this.summary.id }, this.canvas);
    this.holder = h("div", { class: "mi-holder" }, this.stage);
    this.notice = h("p", { class: "mi-notice mi-gone", role: "status" });
    this.offline = h("p", { class: "mi-offline", role: "alert" }, "No connection to Python: trying again …");
    this.offline.hidden = true;
    const close = (dialog) => h("button", { type: "button", onclick: () => dialog().close() }, "Close");
    this.code = h("code");
    this.codeDialog = h("dialog", { class: "mi-dialog", "aria-label": "This view as Python" }, h("h2", {}, "This view as Python"), h("pre", { tabIndex: 0 }, this.code),
      h("div", { class: "mi-row" }, h("button", { type: "button", class: "mi-primary", onclick: () => this.copy(this.code.textContent, "The script is copied.") }, "Copy"),
        h("button", { type: "button", onclick: () => download(`${this.fileName}.py`, new Blob([this.code.textContent], { type: "text/x-python" })) }, "Save as file"), close(() => this.codeDialog)));
    this.helpDialog = h("dialog", { class: "mi-dialog mi-help", "aria-label": "Keyboard and mouse" }, h("h2", {}, "Keyboard and mouse"),
      h("p", {}, "Drag the mouse or the cheese. Paint walls by dragging with that tool. Point at a square to read the policy's mind there; click a layer, a channel and a cell of its map to clamp it."),
      h("div", { class: "mi-columns" }, SHORTCUTS.map(([title, list]) => h("section", {}, h("h3", {}, title),
        h("dl", {}, list.map(([keys, what]) => [h("dt", {}, keys), h("dd", {}, what)]))))), close(() => this.helpDialog));
    root.classList.add("mi");
    root.classList.toggle("mi-page", Boolean(this.options.page));
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own shortcuts stay away from here
    root.replaceChildren(h("div", { class: "mi-body" }, this.bar.header,
      h("main", { class: "mi-main" },
        h("section", { class: "mi-panel mi-maze-panel", "aria-label": "Maze" }, this.bar.toolbar, this.holder, this.bar.options, this.player.element),
        this.mind.element, h("div", { class: "mi-side" }, this.outcomePanel.element, this.edits.element)),
      this.summary, this.live, this.notice, this.offline, this.codeDialog, this.helpDialog));
    this.size = 0;
    this.ended = new AbortController();
    const observer = new ResizeObserver(() => {
      this.size = Math.floor(Math.min(this.holder.clientWidth, this.holder.clientHeight));
      this.stage.style.width = this.stage.style.height = `${this.size}px`;
      this.invalidate();
    });
    observer.observe(this.holder);
    this.ended.signal.addEventListener("abort", () => observer.disconnect());
    this.listen();
  },

  squareAt(event) {
    const box = this.canvas.getBoundingClientRect(), window = this.window(), cell = box.width / window.side;
    return [window.x + Math.floor((event.clientX - box.left) / cell), window.y + window.side - 1 - Math.floor((event.clientY - box.top) / cell)];
  },

  inside([x, y]) {
    const world = WORLDS[this.state.mode];
    return x >= 0 && y >= 0 && x < world && y < world;
  },

  listen() {
    const { stage } = this;
    stage.addEventListener("pointerdown", (event) => {
      if (!this.state || event.button !== 0) return;
      stage.focus({ preventScroll: true });
      event.preventDefault();
      const square = this.squareAt(event);
      if (!this.inside(square)) return;
      this.cursor = square;
      if (this.pickedSquare(square)) return;
      this.pulling = this.grab(square, event);
      if (!this.pulling) return;
      stage.setPointerCapture(event.pointerId);
      this.frozen = this.window(); // what is shown keeps its place while it is touched
      this.pull(square, event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!this.state) return;
      const square = this.squareAt(event), hover = this.inside(square) ? square : null;
      if (!same(hover, this.hover)) { this.hover = hover; this.invalidate(); }
      if (this.pulling) this.pull(square, event);
      else stage.dataset.grab = String(this.view.tool === "move" && hover !== null && (same(hover, this.state.mouse) || hasCheese(this.state, hover)));
    });
    const end = () => { this.pulling = this.frozen = this.gesture = null; this.invalidate(); };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
    stage.addEventListener("pointerleave", () => { this.hover = null; this.invalidate(); });
    stage.addEventListener("blur", () => this.invalidate());
    stage.addEventListener("focus", () => this.invalidate());
    const { signal } = this.ended;
    (this.options.page ? document : this.root).addEventListener("keydown", (event) => this.pressed(event), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (!this.chosenTheme) this.setTheme(this.storedTheme()); }, { signal });
    window.addEventListener("resize", () => this.invalidate(), { signal }); // another zoom is another density of pixels
  },

  /** Stops all that would outlive the element. */
  end() {
    this.ended.abort();
    this.player.stop();
    for (const timer of [this.telling, this.noticeTimer, this.hashTimer]) clearTimeout(timer);
  },

  pickedSquare(square) {
    if (!this.picking) return false;
    const answer = this.picking;
    this.picking = null;
    answer(square);
    return true;
  },

  /** What a press on a square takes hold of. */
  grab(square, event) {
    const { tool } = this.view, gesture = newKey();
    if (tool === "wall") return { kind: "wall", build: isOpen(this.state, square), last: square, gesture };
    if (tool === "mouse" || (tool === "move" && same(square, this.state.mouse))) return { kind: "mouse", gesture };
    if (tool === "move") return hasCheese(this.state, square) ? { kind: "cheese", from: square, gesture } : null;
    if (tool === "cheese" && !event.shiftKey) return { kind: "cheese", from: this.state.cheeses[0] ?? null, alone: true, gesture };
    if (tool === "cheese") this.toggleCheese(square, { time: event.timeStamp });
    if (tool === "clamp") this.clampSquare(square);
    return null;
  },

  pull(square, event) {
    const { pulling } = this, how = { gesture: pulling.gesture, time: event.timeStamp };
    if (pulling.kind === "mouse") this.setMouse(square, how);
    else if (pulling.kind === "cheese") {
      if (pulling.alone && isOpen(this.state, square)) this.change({ cheeses: [square] }, how);
      else if (!pulling.alone) {
        this.setCheese(square, pulling.from, how);
        if (hasCheese(this.state, square)) pulling.from = square;
      }
    } else {
      this.setWalls(line(pulling.last, square), pulling.build, how);
      pulling.last = square;
    }
  },

  clampSquare(square) {
    if (this.layer?.rows) this.addClamp({ at: square });
    else this.notify("Choose a layer with cells first: this one has none.", true);
  },

  /** Uses the tool at the cursor: what a click does there. */
  use(square, event) {
    const { tool } = this.view;
    if (this.pickedSquare(square)) return;
    if (tool === "wall") this.setWalls([square], isOpen(this.state, square), { time: event.timeStamp });
    else if (tool === "cheese" && event.shiftKey) this.toggleCheese(square, { time: event.timeStamp });
    else if (tool === "cheese") { if (isOpen(this.state, square)) this.change({ cheeses: [square] }, { time: event.timeStamp }); }
    else if (tool === "clamp") this.clampSquare(square);
    else this.setMouse(square, { time: event.timeStamp });
    this.say(this.describe(square));
  },

  pressed(event) {
    const { target, key } = event;
    if (!this.state || event.defaultPrevented || this.codeDialog.open || this.helpDialog.open || event.altKey) return;
    const handled = () => { event.preventDefault(); event.stopPropagation(); };
    if (key === "Escape" && this.picking) { this.picking = null; return handled(); }
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && !(target.type === "checkbox" || target.type === "range");
    const control = event.ctrlKey || event.metaKey;
    if (isTyping) return;
    if (control) {
      if (key.toLowerCase() === "z") { handled(); event.shiftKey ? this.redo() : this.undo(); }
      else if (key.toLowerCase() === "y") { handled(); this.redo(); }
      return;
    }
    if (target === this.stage) {
      const step = { ArrowLeft: STEPS[0], ArrowRight: STEPS[1], ArrowUp: STEPS[2], ArrowDown: STEPS[3] }[key];
      if (step) {
        const from = this.cursor ?? this.state.mouse, world = WORLDS[this.state.mode];
        this.cursor = [between(from[0] + step[0], 0, world - 1), between(from[1] + step[1], 0, world - 1)];
        this.hover = null;
        this.say(this.describe(this.cursor));
        this.invalidate();
        return handled();
      }
      if (key === "Enter" || key === " ") { handled(); return this.use(this.cursor ?? this.state.mouse, event); }
    }
    const action = this.actions()[key.length === 1 ? key.toLowerCase() : key];
    if (action) { handled(); action(); }
  },

  actions() {
    const mark = (name) => () => this.setView({ marks: { ...this.view.marks, [name]: !this.view.marks[name] } });
    const tints = TINTS.map(([name]) => name), nextTint = () => this.setView({ tint: tints[(tints.indexOf(this.view.tint) + 1) % tints.length] });
    const tab = (name) => () => (this.isEdited || name === "before") && this.setView({ tab: name });
    const step = (by) => () => this.episode && (this.player.stop(), this.setStep(this.step + by));
    return {
      ...Object.fromEntries(TOOLS.map(([name, , , key]) => [key, () => { this.setView({ tool: name }); this.say(`Tool: ${name}`); }])),
      x: () => this.removeCheese(), f: () => this.change({ reflected: !this.state.reflected }), n: () => this.newMaze(),
      z: () => this.setView({ whole: !this.view.whole }), u: () => this.undo(), r: () => this.redo(),
      1: tab("before"), 2: tab("after"), 3: tab("difference"), h: nextTint, d: mark("decision"), o: mark("corner"), p: mark("ways"),
      t: () => this.toggleTheme(), "?": () => this.helpDialog.showModal(), "[": () => this.mind.shift(-1), "]": () => this.mind.shift(1),
      a: () => this.setView({ tint: this.view.tint === "activation" ? "none" : "activation" }),
      "-": () => this.addVector("cheese", -1), "−": () => this.addVector("cheese", -1), "+": () => this.addVector("top_right", 1),
      e: () => this.player.toggle(), ",": step(-1), ".": step(1),
    };
  },

  newMaze() { return this.loadLevel(this.bar.content({ seed: null })); },

  // Light and dark: as the system has it, or JupyterLab, until somebody chooses

  storedTheme() {
    try { this.chosenTheme = localStorage.getItem("mazeinterp-theme"); } catch { this.chosenTheme = null; }
    if (this.chosenTheme === "light" || this.chosenTheme === "dark") return this.chosenTheme;
    const jupyter = this.options.page ? undefined : document.body.dataset.jpThemeLight;
    if (jupyter !== undefined) return jupyter === "true" ? "light" : "dark";
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  },

  setTheme(theme) {
    this.theme = theme;
    this.root.dataset.theme = theme;
    this.palette = theme === "dark" ? DARK : LIGHT;
    this.scales = scalesOf(this.palette);
    this.invalidate();
  },

  toggleTheme() {
    const theme = this.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("mazeinterp-theme", theme); } catch { /* a private window keeps nothing; the page changes all the same */ }
    this.chosenTheme = theme;
    this.setTheme(theme);
  },
});

/** The squares between two, so that a fast stroke leaves no gaps. */
function line([x0, y0], [x1, y1]) {
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
  return Array.from({ length: steps + 1 }, (_, i) => [Math.round(x0 + (x1 - x0) * i / steps), Math.round(y0 + (y1 - y0) * i / steps)]);
}

// ---------------------------------------------------------------------------------------------------------------
// Page and widget

/**
 * Builds the explorer inside an element.
 * @param element where; what it holds is replaced. `element.explorer` is the explorer then.
 * @param transport how it speaks to Python: { send(message), onmessage, onstatus }.
 * @param options { page: true } for a page of its own, whose address holds the state.
 */
export function mount(element, transport, options = {}) {
  element.explorer = new Explorer(element, transport, options);
  return element.explorer;
}

/** anywidget's entry: the explorer in a cell's output. */
export default {
  render({ model, el }) {
    const element = h("div");
    el.append(element);
    const explorer = mount(element, widgetTransport(model));
    return () => explorer.end();
  },
};

const page = document.querySelector("[data-mazeinterp-page]");
if (page) mount(page, socketTransport(), { page: true });
