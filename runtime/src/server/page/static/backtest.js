// How far a back-test is, until it is over; then its view is fetched.

import { number, text } from "./frame.js";

const running = document.querySelector("[data-backtest]");
if (running) {
  const bar = document.getElementById("bar");
  const counted = document.getElementById("counted");
  const stream = new EventSource(`/v1/backtests/${running.dataset.backtest}`);
  let state = null;

  stream.addEventListener("progress", (event) => {
    const now = JSON.parse(event.data);
    // Waiting, preparing, judging: words of the page, so it is fetched again.
    if (state !== null && now.state !== state) return again();
    state = now.state;
    if (!now.of) return;
    bar.max = now.of;
    bar.value = now.events;
    counted.textContent = text("backtest-so-far", { n: number(now.events), of: number(now.of), rate: number(Math.round(now.per_second)) });
  });
  for (const over of ["done", "failed", "cancelled"]) stream.addEventListener(over, again);
  addEventListener("pagehide", () => stream.close());

  function again() {
    stream.close();
    location.reload();
  }
}
