// The arrows between the stations, drawn behind them wherever the page puts them.

import { STATIONS, station } from "./stations.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP = 5;
// Belong to Kafka rather than follow it.
const SERVING = [
  ["registry", "kafka"],
  ["zookeeper", "kafka"],
];

let observer = null;

/** Draw the arrows into `drawing`, from and to the elements with `data-station` in `path`. */
export function drawEdges(path, drawing) {
  if (!observer || observer.path !== path) {
    observer?.disconnect();
    observer = new ResizeObserver(() => draw(path, drawing));
    observer.path = path;
    observer.observe(path);
  }
  draw(path, drawing);
}

function draw(path, drawing) {
  const origin = path.getBoundingClientRect();
  drawing.setAttribute("viewBox", `0 0 ${origin.width} ${origin.height}`);
  const boxOf = (name) => {
    const box = path.querySelector(`[data-station="${name}"]`).getBoundingClientRect();
    const [left, top] = [box.left - origin.left, box.top - origin.top];
    return { left, top, right: left + box.width, bottom: top + box.height, x: left + box.width / 2, y: top + box.height / 2 };
  };
  const flows = Object.entries(STATIONS).flatMap(([from, { to }]) => to.map((one) => [from, one]));
  const lines = [
    ...flows.map(([from, to]) => line(boxOf(from), boxOf(to), flowKind(from, to))),
    ...SERVING.map(([from, to]) => line(boxOf(from), boxOf(to), "serves")),
  ];
  drawing.replaceChildren(...lines.flat());
}

function flowKind(from, to) {
  if ([from, to].some((name) => station(name).state === "down")) return "broken";
  return station(to).rate > 0 ? "flowing" : "flow";
}

function line(from, to, kind) {
  const isBeside = to.left > from.right - 1;
  const isBelow = to.top > from.bottom - 1;
  let start;
  let end;
  let points;
  if (isBeside) {
    start = [from.right, from.y];
    end = [to.left - GAP, Math.min(Math.max(from.y, to.top + 24), to.bottom - 24)];
    const middle = (start[0] + end[0]) / 2;
    points = `M${start} C${middle},${start[1]} ${middle},${end[1]} ${end}`;
  } else {
    start = [isBelow ? to.x : from.x, isBelow ? from.bottom : from.top];
    end = [start[0], isBelow ? to.top - GAP : to.bottom + GAP];
    points = `M${start} L${end}`;
  }
  const path = shape("path", { d: points, class: `edge edge-${kind}` });
  return kind === "serves" ? [path] : [path, head(end, isBeside ? 0 : isBelow ? 90 : -90, kind)];
}

function head([x, y], angle, kind) {
  return shape("path", {
    d: "M4 0L-5 -5L-5 5z",
    transform: `translate(${x} ${y}) rotate(${angle})`,
    class: `edge-head edge-${kind}`,
  });
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
