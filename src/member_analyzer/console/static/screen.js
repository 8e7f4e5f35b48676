// What is on the screen is drawn anew, whole and in place, once in a frame, whenever something says that it changed.

let draw = () => {};
let isDue = false;

export function drawWith(drawing) {
  draw = drawing;
}

export function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}
