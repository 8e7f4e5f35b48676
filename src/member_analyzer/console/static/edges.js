// Draws the arrows between the components, behind their boxes.

import { COMPONENTS, component } from "./components.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP = 5;
// Dependencies of Kafka that no members pass through.
const DEPENDENCIES = [
  ["registry", "kafka"],
  ["zookeeper", "kafka"],
];

let observer = null;

/** Draw the edges between the elements with `data-component` in `diagram` into the SVG element `drawing`. */
export function drawEdges(diagram, drawing) {
  if (!observer || observer.diagram !== diagram) {
    observer?.disconnect();
    observer = new ResizeObserver(() => draw(diagram, drawing));
    observer.diagram = diagram;
    observer.observe(diagram);
  }
  draw(diagram, drawing);
}

function draw(diagram, drawing) {
  const origin = diagram.getBoundingClientRect();
  drawing.setAttribute("viewBox", `0 0 ${origin.width} ${origin.height}`);
  const boxOf = (name) => {
    const box = diagram.querySelector(`[data-component="${name}"]`).getBoundingClientRect();
    const [left, top] = [box.left - origin.left, box.top - origin.top];
    return { left, top, right: left + box.width, bottom: top + box.height, x: left + box.width / 2, y: top + box.height / 2 };
  };
  const flows = Object.entries(COMPONENTS).flatMap(([from, { to }]) => to.map((target) => [from, target]));
  const edges = [
    ...flows.map(([from, to]) => edge(boxOf(from), boxOf(to), flowKind(from, to))),
    ...DEPENDENCIES.map(([from, to]) => edge(boxOf(from), boxOf(to), "dependency")),
  ];
  drawing.replaceChildren(...edges.flat());
}

function flowKind(from, to) {
  if ([from, to].some((name) => component(name).state === "down")) return "broken";
  return component(to).rate > 0 ? "active" : "idle";
}

function edge(from, to, kind) {
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
  const path = svgElement("path", { d: points, class: `edge edge-${kind}` });
  return kind === "dependency" ? [path] : [path, arrowhead(end, isBeside ? 0 : isBelow ? 90 : -90, kind)];
}

function arrowhead([x, y], angle, kind) {
  return svgElement("path", {
    d: "M4 0L-5 -5L-5 5z",
    transform: `translate(${x} ${y}) rotate(${angle})`,
    class: `edge-head edge-${kind}`,
  });
}

function svgElement(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
