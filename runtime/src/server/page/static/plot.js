// A plot as PNG: its file, drawn on a canvas twice as large.

import { text } from "./frame.js";

const SCALE = 2;

async function download(button) {
  const answer = await fetch(button.dataset.png);
  if (!answer.ok) throw new Error(answer.statusText);
  const bytes = new TextEncoder().encode(await answer.text());
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  const picture = new Image();
  picture.src = `data:image/svg+xml;base64,${btoa(binary)}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth * SCALE;
  canvas.height = picture.naturalHeight * SCALE;
  const pen = canvas.getContext("2d");
  pen.scale(SCALE, SCALE);
  pen.drawImage(picture, 0, 0);
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = button.dataset.name;
  link.click();
}

// Plots are replaced while the page is open, so one listener is for all of them.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-png]");
  if (!button) return;
  button.disabled = true;
  download(button)
    .catch(() => { button.textContent = text("png-failed"); })
    .finally(() => { button.disabled = false; });
});
