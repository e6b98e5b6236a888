// The chat page: one websocket, one JSON object per frame; comes back by itself when the connection is gone.
"use strict";

const log = document.getElementById("log");
const state = document.getElementById("state");
const form = document.getElementById("form");
const text = document.getElementById("text");

const FIRST_DELAY = 500; // ms before the first try to come back; doubled up to LONGEST_DELAY
const LONGEST_DELAY = 15000;

let socket = null;
let delay = FIRST_DELAY;
let everOpen = false;
const unsent = []; // [text, list item]: written while there was no connection

function show(kind, words, author) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const item = document.createElement("li");
  item.className = kind;
  if (author) item.dataset.author = author;
  item.textContent = words;
  log.append(item);
  if (atEnd || kind.startsWith("mine")) log.scrollTop = log.scrollHeight;
  return item;
}

function say(words, gone) {
  state.textContent = words;
  state.classList.toggle("gone", Boolean(gone));
}

function connect() {
  const url = new URL(location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  socket = new WebSocket(url);
  socket.onopen = () => {
    if (everOpen) show("note", "Connected again.");
    everOpen = true;
    delay = FIRST_DELAY;
    say("Connected");
    for (const [words, item] of unsent.splice(0)) {
      socket.send(JSON.stringify({ text: words }));
      item.classList.remove("waiting");
    }
  };
  socket.onmessage = (event) => {
    const packet = JSON.parse(event.data);
    if (packet.error !== undefined) show("note error", packet.error);
    else if (packet.text !== undefined) show("bot", packet.text, packet.author);
  };
  socket.onclose = () => {
    socket = null;
    const seconds = Math.ceil(delay / 1000);
    say(`No connection. Trying again in ${seconds} s…`, true);
    // Spread out, so that not all pages come back to a restarted server at once.
    setTimeout(connect, delay * (0.75 + Math.random() / 2));
    delay = Math.min(delay * 2, LONGEST_DELAY);
  };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words) return;
  text.value = "";
  text.style.height = "";
  if (socket && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ text: words }));
    show("mine", words);
  } else {
    unsent.push([words, show("mine waiting", words)]);
  }
  text.focus();
});

text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

text.addEventListener("input", () => {
  text.style.height = "";
  text.style.height = `${text.scrollHeight + 2}px`;
});

connect();
