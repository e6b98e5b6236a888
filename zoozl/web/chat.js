// The chat page: one websocket, one JSON object per frame. It says hello, so that nothing is lost or doubled when
// the connection goes away: its messages have ids and are sent again until they are acknowledged, and it
// acknowledges replies by their seq.
"use strict";

const log = document.getElementById("log");
const state = document.getElementById("state");
const form = document.getElementById("form");
const text = document.getElementById("text");

const FIRST_DELAY = 500; // ms before the first try to come back; doubled up to LONGEST_DELAY
const LONGEST_DELAY = 15000;
const KEY = `zoozl ${location.pathname}`; // what a reload of this tab goes on with

let socket = null;
let delay = FIRST_DELAY;
let welcomed = false;
let everOpen = false;
const items = new Map(); // id of a message that is not acknowledged -> its list item
const saved = load();

function load() {
  try {
    return { resume: null, last: 0, unsent: [], ...JSON.parse(sessionStorage.getItem(KEY) || "{}") };
  } catch {
    return { resume: null, last: 0, unsent: [] };
  }
}

function save() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(saved));
  } catch {
    // No storage in this browser: a reload begins anew.
  }
}

function newId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}

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

function send(packet) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(packet));
}

function acknowledged(id) {
  saved.unsent = saved.unsent.filter((message) => message.id !== id);
  items.get(id)?.classList.remove("waiting");
  items.delete(id);
}

function receive(packet) {
  if (packet.welcome) {
    welcomed = true;
    saved.resume = packet.welcome.resume;
    for (const message of saved.unsent) send(message);
    if (everOpen) show("note", "Connected again.");
    everOpen = true;
    delay = FIRST_DELAY;
    say("Connected");
  } else if (packet.ack !== undefined) {
    acknowledged(packet.ack);
  } else if (packet.error !== undefined) {
    show("note error", packet.error);
    // Refused, not lost on the way: sending it again by itself would only be refused again.
    if (packet.id) acknowledged(packet.id);
  } else if (packet.text !== undefined) {
    if (packet.seq > saved.last) {
      saved.last = packet.seq;
      const names = (packet.files || []).map((file) => `[${file.filename || file.media_type}]`);
      show("bot", [packet.text, ...names].filter(Boolean).join("\n"), packet.author);
    }
    send({ ack: packet.seq });
  }
  save();
}

function connect() {
  const url = new URL(location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  socket = new WebSocket(url);
  socket.onopen = () => {
    welcomed = false;
    send({ hello: { resume: saved.resume, last: saved.last } });
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = (event) => {
    socket = null;
    welcomed = false;
    if (event.code === 4001) {
      say("This conversation goes on in another tab.", true);
      return;
    }
    say(`No connection. Trying again in ${Math.ceil(delay / 1000)} s…`, true);
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
  const message = { text: words, id: newId() };
  items.set(message.id, show("mine waiting", words));
  saved.unsent.push(message);
  save();
  if (welcomed) send(message);
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

for (const message of saved.unsent) items.set(message.id, show("mine waiting", message.text));
connect();
