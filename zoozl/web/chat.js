// The chat page: puts its parts together, and knows what the reader has seen.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { List } from "./list.js";
import { plain } from "./markup.js";
import { Memory } from "./memory.js";
import { framed, start, tell } from "./parent.js";
import { draw, drop } from "./row.js";

const $ = (id) => document.getElementById(id);
const TITLE = document.title;
const SPOKEN = 2000; // characters of a reply that a screen reader is given by itself

let memory = null;
let connection = null;
let conversation = null;
let unseen = 0;
let shown = true; // within another site: whether its window is open

const acts = {
  answer: (item, reply) => conversation.say(reply),
  load: (item) => conversation.load(item),
  again: (item) => conversation.again(item),
};

const list = new List($("log"), $("list"), {
  draw: (item, previous) => draw(item, previous, acts),
  drop,
  moved: () => {
    $("jump").hidden = list.atEnd;
    if (seeing()) seen();
    if ($("log").scrollTop < 2 * $("log").clientHeight) conversation?.earlier();
  },
});

const view = { list, typing, earlier, arrived, mark, changed };

function seeing() {
  return list.atEnd && shown && document.visibilityState === "visible";
}

function seen() {
  const newest = list.rows.findLast(({ item }) => item.kind === "bot" && !item.growing)?.item;
  if (newest?.sent > memory?.state.read) {
    memory.state.read = newest.sent;
    memory.save();
  }
  if (unseen) count(0);
}

function count(number) {
  unseen = number;
  document.title = number ? `(${number}) ${TITLE}` : TITLE;
  $("jump").textContent = number ? `${number} new ↓` : "To the end ↓";
  tell("unread", { count: number });
}

function arrived(item) {
  if (!seeing()) {
    if (!unseen) mark(item);
    count(unseen + 1);
  }
  const words = item.html ? plain(item.html) : item.text;
  const names = (item.files || []).map((file) => file.name || "file").join(", ");
  const line = document.createElement("p");
  line.textContent = [item.author, words.slice(0, SPOKEN), names && `Files: ${names}`].filter(Boolean).join(": ");
  $("spoken").append(line);
  if ($("spoken").childElementCount > 5) $("spoken").firstElementChild.remove();
}

// The line above the first message that was not seen; there is one at most.
function mark(item) {
  for (const { item: other } of list.rows) {
    if (!other.unread || other === item) continue;
    other.unread = false;
    list.changed(other);
  }
  if (!item) return;
  item.unread = true;
  list.changed(item);
}

function typing(author) {
  $("typing").hidden = author === null;
  if (author !== null) $("typist").textContent = `${author || "The bot"} is writing…`;
  if (list.atEnd) list.later();
}

// `words` null: there is nothing earlier; "": there is.
function earlier(words) {
  $("earlier").textContent = words ?? "";
}

function changed() {
  $("greeting").hidden = list.rows.length > 0 || !$("greeting").textContent;
}

function say(words, { gone = false, waiting = false }) {
  $("state").textContent = words;
  $("state").classList.toggle("gone", gone);
  $("retry").hidden = !waiting;
}

function open(token) {
  connection?.stop();
  list.clear();
  count(0);
  memory = new Memory(token);
  connection = new Connection(memory, token, {
    frame: (packet) => conversation.receive(packet),
    state: say,
    unauthorized: () => tell("token-needed"),
    welcome: (other) => {
      if (other) {
        list.clear();
        conversation = talk();
      }
      conversation.welcome();
    },
  });
  conversation = talk();
  changed();
  connection.connect();
}

function talk() {
  const { send, submit, later, done } = connection;
  const bound = [send, submit, later, done].map((method) => method.bind(connection));
  return new Conversation(memory, { send: bound[0], submit: bound[1], later: bound[2], done: bound[3] }, view);
}

new Composer(
  {
    form: $("form"),
    text: $("text"),
    attach: $("attach"),
    picker: $("picker"),
    chosen: $("chosen"),
    problem: $("problem"),
  },
  Number(document.documentElement.dataset.limit),
  (message) => {
    mark(null);
    conversation?.say(message);
  },
);

$("jump").addEventListener("click", () => {
  list.toEnd();
  $("text").focus();
});
$("retry").addEventListener("click", () => connection.connect());
document.addEventListener("visibilitychange", () => list.later());
window.addEventListener("focus", () => list.later());
window.addEventListener("beforeunload", (event) => memory && !memory.complete && event.preventDefault());
window.addEventListener("keydown", (event) => event.key === "Escape" && tell("close"));

// Within another site the focus is moved when the window there is opened.
if (!framed) $("text").focus();

open(
  await start((what, message) => {
    if (what === "token") open(message.token);
    if (what !== "shown") return;
    ({ shown } = message);
    if (shown) {
      list.later();
      $("text").focus();
    }
  }),
);
