// One message as a list item.
//
// An item is {kind: "bot" | "mine" | "note", text, html, author, sent (seconds), files, state: "" | "waiting" |
// "refused", problem, choices, form, answered, growing, unread}.

import { preview, release } from "./files.js";
import { element, fragment } from "./markup.js";
import { choices, form } from "./questions.js";

const TOGETHER = 300; // seconds within which one's messages stand under one name
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

// `acts`: answer(item, reply), load(item) for the bytes of its files, again(item).
export function draw(item, previous, acts) {
  const node = element("li", { className: item.kind });
  if (item.state) node.classList.add(item.state);
  if (item.growing) node.classList.add("growing");
  const day = dayOf(item);
  if (day && day !== dayOf(previous)) node.append(element("p", { className: "day" }, element("span", { text: day })));
  if (item.unread) node.append(element("p", { className: "unread" }, element("span", { text: "New messages" })));
  if (item.kind === "note") {
    node.append(element("p", { className: item.error ? "words error" : "words", text: item.text }));
    return node;
  }
  node.append(who(item, previous));
  if (item.text || item.html || item.growing) node.append(bubble(item));
  if (item.files?.length) {
    const files = item.files.map((file) => preview(file, () => acts.load(item)));
    node.append(element("div", { className: "files" }, ...files));
  }
  if (item.choices) node.append(choices(item.choices, item.answered, (reply) => acts.answer(item, reply)));
  if (item.form) node.append(form(item.form, item.text, item.answered, (reply) => acts.answer(item, reply)));
  if (item.state === "waiting") node.append(element("p", { className: "status", text: "Not sent yet" }));
  if (item.state === "refused") node.append(refused(item, acts));
  return node;
}

export function drop(node) {
  release(node);
}

function who(item, previous) {
  const mine = item.kind === "mine";
  const node = element("p", { className: "who" }, element("span", { text: mine ? "You" : item.author || "Bot" }));
  if (mine || !item.author) node.firstChild.className = "hidden";
  if (item.sent) {
    const at = new Date(item.sent * 1000);
    node.append(" ", element("time", { dateTime: at.toISOString(), text: TIME.format(at), title: at.toLocaleString() }));
  }
  const together =
    previous?.kind === item.kind &&
    (previous.author || "") === (item.author || "") &&
    !item.unread &&
    (item.sent || 0) - (previous.sent || 0) < TOGETHER &&
    dayOf(item) === dayOf(previous);
  if (together) node.classList.add("hidden");
  return node;
}

function bubble(item) {
  if (item.kind === "bot" && item.html) return element("div", { className: "words marked" }, fragment(item.html));
  return element("div", { className: "words", text: item.text });
}

function refused(item, acts) {
  const button = element("button", { type: "button", className: "link", text: "Send again" });
  button.addEventListener("click", () => acts.again(item));
  return element("p", { className: "status error" }, `Not sent: ${item.problem} `, button);
}

function dayOf(item) {
  return item?.sent ? DAY.format(new Date(item.sent * 1000)) : "";
}
