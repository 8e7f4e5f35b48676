// Schedules a redraw of the whole page, at most one per frame.

let draw = () => {};
let isScheduled = false;

export function setRenderer(renderer) {
  draw = renderer;
}

export function redraw() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    draw();
  });
}
