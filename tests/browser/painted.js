// Notes when each cell was first drawn as completed, in a frame, while the test looks on.
window.painted = {};
let isFirst = true;
const look = () => {
  for (const cell of document.querySelectorAll(".cell.completed")) {
    if (!(cell.dataset.key in window.painted)) window.painted[cell.dataset.key] = isFirst ? 0 : Date.now();
  }
  if (document.querySelector(".cell")) isFirst = false;
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
