// Files of a message: {name, type, size, blob}; the blob is null for one in the history, whose bytes can be asked for.

import { element } from "./markup.js";

// What a browser shows as a picture and nothing else; SVG could hold more, so it is only offered to be saved.
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"]);
const SOUNDS = /^audio\/[\w.+-]+$/;
const FILMS = /^video\/[\w.+-]+$/;

export function fromFrame({ filename, media_type: type, data, size }) {
  const blob = data === undefined ? null : toBlob(data, type);
  return { name: filename || "", type: type || "", size: blob ? blob.size : size || 0, blob };
}

// {filename, media_type, data}, as the server takes it.
export async function toFrame(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return { filename: file.name, media_type: file.type, data: url.slice(url.indexOf(",") + 1) };
}

export function readableSize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function isPicture(type) {
  return PICTURES.has(type);
}

// A file in a row: a preview and a way to save it. `load` asks for the bytes of one that has none.
export function preview(file, load) {
  const name = file.name || (isPicture(file.type) ? "picture" : "file");
  const words = `${name} (${readableSize(file.size)})`;
  if (!file.blob) {
    const button = element("button", { type: "button", className: "file", text: `Load ${words}` });
    button.addEventListener("click", () => {
      button.disabled = true;
      button.textContent = `Loading ${words}…`;
      load();
    });
    return button;
  }
  const url = URL.createObjectURL(file.blob);
  const figure = element("figure", { className: "file" });
  figure.dataset.url = url;
  if (isPicture(file.type)) figure.append(element("img", { src: url, alt: name }));
  else if (SOUNDS.test(file.type)) figure.append(element("audio", { src: url, controls: true, ariaLabel: name }));
  else if (FILMS.test(file.type)) figure.append(element("video", { src: url, controls: true, ariaLabel: name }));
  figure.append(element("a", { href: url, download: name, text: words, ariaLabel: `Save ${words}` }));
  return figure;
}

// Let go of the memory that the previews below `node` hold.
export function release(node) {
  for (const figure of node.querySelectorAll("[data-url]")) URL.revokeObjectURL(figure.dataset.url);
}

function toBlob(data, type) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const shown = PICTURES.has(type) || SOUNDS.test(type) || FILMS.test(type);
  // Any other type, and text/html above all, would be run as a part of this page when it is opened.
  return new Blob([bytes], { type: shown ? type : "application/octet-stream" });
}
