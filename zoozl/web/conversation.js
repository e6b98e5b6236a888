// What was said: replies, the talker's messages and the history, each of them once and in order.
//
// Items of the history have an `index`, their place among all messages; live ones have a `seq` or an `id`. Where the
// two meet, after a reload, a message that came both ways is told by its number, else by its time and text.

import { fromFrame } from "./files.js";

const PAGE = 50; // messages asked for at once
const SAME = 0.002; // seconds between two records of one reply
const TRIES = 5; // to find a page of the history that moves while messages come in
const TYPING = 60000; // ms after which nobody types any more

const now = () => Date.now() / 1000;

function newId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}

export class Conversation {
  // `memory` as of Memory, `send` and `submit` as of Connection; `view` has list, typing(author or null), earlier(words),
  // arrived(item) for what is new and is to be told, mark(item) for the first that was not seen, changed() for the rest.
  constructor(memory, { send, submit, later, done }, view) {
    Object.assign(this, { memory, send, submit, later, done, view, list: view.list });
    this.loaded = false; // the newest page of the history has come
    this.first = 0; // index of the earliest item that is here
    this.total = 0; // messages in the history, as the server said last
    this.since = 0; // those that may have come to it since
    this.asked = new Map(); // id of a question about the history -> what to do with the answer
    this.count = 0;
    this.bySeq = new Map();
    this.mine = new Map(); // id of a message that is not acknowledged -> its item
    this.streams = new Map();
    this.questions = new Map(); // id of an open question -> its item
    this.timer = 0;
    this.author = "";
    this.read = memory.state.read; // when the last reply that was seen before this page was opened was said
    for (const message of this.memory.state.unsent) this.show(this.own(message));
  }

  // A new connection stands: what was under way on the old one is not any more.
  welcome() {
    this.asked.clear();
    for (const item of this.streams.values()) this.list.remove(item);
    this.streams.clear();
    this.typing(false);
    if (this.loaded) this.view.earlier(this.list.hasMore ? "" : null);
    else this.ask(1, PAGE, (answer) => this.begin(answer));
  }

  receive(packet) {
    if (packet.ack !== undefined) this.acknowledged(packet.ack);
    else if (packet.data !== undefined) this.answered(packet);
    else if (packet.error !== undefined) this.refused(packet);
    else if (packet.typing !== undefined) this.works(packet.typing);
    else if (packet.stream?.id !== undefined) this.grow(packet.stream);
    else if (packet.edit) this.edit(packet.edit);
    else if (packet.seq !== undefined) this.reply(packet);
  }

  // The talker says something: {text, files?, choice?, form?, secret?}.
  say(what) {
    this.close([...this.questions.keys()]);
    const message = { ...what, id: newId(), sent: now() };
    this.show(this.own(message));
    this.list.toEnd();
    this.submit(message);
  }

  again(item) {
    item.state = "waiting";
    this.mine.set(item.message.id, item);
    this.list.changed(item);
    this.submit(item.message);
  }

  // The bytes of a file in the history.
  load(item, tries = 0) {
    const page = this.total + this.since - item.index;
    const then = (answer) => {
      this.learn(answer.total_count);
      const found = answer.total_count - answer.page === item.index;
      if (!found && tries < TRIES) return this.load(item, tries + 1);
      if (found && answer.data[0]?.files) item.files = answer.data[0].files.map(fromFrame);
      return this.list.changed(item);
    };
    this.ask(page, 1, then, { with_files: true, failed: () => this.list.changed(item) });
  }

  // Earlier messages, when the reader comes near the beginning.
  earlier(tries = 0) {
    if (!this.loaded || !this.list.hasMore || (this.asked.has("earlier") && !tries)) return;
    this.asked.set("earlier", true);
    this.view.earlier("Loading earlier messages…");
    const page = Math.floor((this.total + this.since - this.first) / PAGE) + 1;
    this.ask(page, PAGE, (answer) => {
      const records = this.records(answer);
      this.learn(answer.total_count);
      const fresh = records.filter((item) => item.index < this.first);
      const joins = fresh.length && fresh.at(-1).index === this.first - 1;
      // New messages have pushed the pages on: ask again, now that it is known by how much.
      if (!joins && tries < TRIES && answer.total_count > 0) return this.earlier(tries + 1);
      this.asked.delete("earlier");
      if (joins) this.first = fresh[0].index;
      this.list.hasMore = Boolean(joins) && this.first > 0;
      this.view.earlier(this.list.hasMore ? "" : null);
      if (joins) this.list.prepend(fresh);
      return undefined;
    }, { failed: () => this.view.earlier("Earlier messages could not be loaded.") });
  }

  ask(page, size, then, { with_files: withFiles, failed } = {}) {
    const id = `history-${(this.count += 1)}`;
    this.asked.set(id, { page, size, then, failed });
    const more = withFiles && { with_files: true };
    this.send({ operation: "list_messages", page, page_size: size, id, ...more });
  }

  learn(total) {
    const gone = this.total - total;
    // Fewer than there were: the oldest have been deleted.
    if (gone > 0) {
      this.first = Math.max(0, this.first - gone);
      for (const item of this.list.items) if (item.index !== undefined) item.index -= gone;
    }
    this.total = total;
    this.since = 0;
  }

  records({ data, total_count: total, page, size }) {
    const end = Math.max(0, total - (page - 1) * size);
    const start = end - data.length;
    return data.map((record, at) => ({
      kind: record.from_bot ? "bot" : "mine",
      text: record.text,
      html: record.html,
      author: record.from_bot ? record.author : "",
      sent: record.sent,
      files: (record.files || []).map(fromFrame),
      index: start + at,
      seq: record.seq,
      id: record.id,
      state: "",
    }));
  }

  answered(packet) {
    const asked = this.asked.get(packet.id);
    if (!asked) return;
    this.asked.delete(packet.id);
    asked.then({ ...packet, page: packet.page ?? asked.page, size: asked.size });
  }

  // The newest page comes to what is here already: messages that are not acknowledged, replies that waited.
  begin(answer) {
    this.loaded = true;
    const live = new Set(this.list.items);
    const fresh = [];
    for (const item of this.records(answer).reverse()) {
      const known = [...live].reverse().find((other) => this.same(item, other));
      if (known) {
        live.delete(known);
        known.index = item.index;
      } else fresh.unshift(item);
    }
    this.learn(answer.total_count);
    this.first = Math.max(0, answer.total_count - answer.data.length);
    this.list.hasMore = this.first > 0 && answer.data.length > 0;
    const { question } = this.memory.state;
    for (const item of fresh) if (item.seq !== undefined) this.bySeq.set(item.seq, item);
    const asked = question && fresh.findLast((item) => item.kind === "bot" && near(item, question));
    if (asked) this.open(Object.assign(asked, { text: question.text, html: question.html, plain: question.plain }), question);
    this.author ||= fresh.findLast((item) => item.author)?.author || "";
    if (fresh.length) this.list.prepend(fresh);
    const unread = this.list.items.find((item) => item.kind === "bot" && item.sent > this.read + SAME);
    if (this.read && unread) this.view.mark(unread);
    this.view.earlier(this.list.hasMore ? "" : null);
    this.view.changed();
  }

  same(item, other) {
    if (other.kind !== item.kind || other.index !== undefined) return false;
    if (item.kind === "bot") return item.seq !== undefined ? item.seq === other.seq : near(item, other);
    return item.id ? item.id === other.message?.id : item.text === other.message?.text;
  }

  reply(packet) {
    // `plain` is what the history has instead of the text beside buttons.
    const { text, plain = text, html, author, sent = now(), seq, files, choices, form } = packet;
    const what = { kind: "bot", text, plain, html, author, sent, seq, files: (files || []).map(fromFrame), growing: false };
    this.typing(false);
    this.author = author || this.author;
    this.close(packet.answered || []);
    const item = this.streams.get(packet.stream) || this.recorded(what) || { unread: false };
    const shown = this.streams.delete(packet.stream);
    const known = item.index !== undefined;
    Object.assign(item, what);
    this.bySeq.set(seq, item);
    this.open(item, { choices, form });
    if (shown || known) this.list.changed(item);
    else this.show(item);
    if (!known) this.view.arrived(item);
  }

  // The item of the history that a reply is, if it came that way first.
  recorded(what) {
    if (!this.loaded) return undefined;
    const { rows } = this.list;
    for (let at = rows.length - 1; at >= 0 && at > rows.length - 2 * PAGE; at -= 1) {
      const { item } = rows[at];
      if (item.kind === "bot" && item.index !== undefined && item.seq === undefined && near(item, what)) return item;
    }
    return undefined;
  }

  open(item, { choices, form }) {
    if (!choices && !form) return;
    const { question } = choices || form;
    this.close([question]); // it is put again
    Object.assign(item, { choices, form, answered: false });
    this.questions.set(question, item);
    const { text, plain, html, sent } = item;
    this.memory.state.question = { text, plain, html, sent, choices, form };
  }

  close(questions) {
    for (const question of questions) {
      const item = this.questions.get(question);
      if (!item) continue;
      this.questions.delete(question);
      item.answered = true;
      this.list.changed(item);
    }
    if (!this.questions.size) this.memory.state.question = null;
  }

  grow({ id, text, html }) {
    let item = this.streams.get(id);
    this.typing(false);
    if (item) {
      Object.assign(item, { text, html, growing: true });
      this.list.changed(item);
      return;
    }
    item = { kind: "bot", text, html, author: this.author, sent: now(), growing: true };
    this.streams.set(id, item);
    this.show(item);
  }

  edit({ seq, text, html }) {
    const item = this.bySeq.get(seq);
    if (item) {
      Object.assign(item, { text, html });
      this.list.changed(item);
    } else if (this.loaded) {
      // It is from before the reload, when it had no number: the history has its new words.
      this.ask(1, PAGE, (answer) => this.compare(this.records(answer)));
    }
  }

  compare(records) {
    const byIndex = new Map(this.list.items.map((item) => [item.index, item]));
    for (const { index, text, html } of records) {
      const item = byIndex.get(index);
      if (!item || (item.plain ?? item.text) === text) continue;
      Object.assign(item, { text, html });
      this.list.changed(item);
    }
  }

  own(message) {
    const files = (message.files || []).map(fromFrame);
    const item = { kind: "mine", text: message.text, sent: message.sent, files, state: "waiting", message };
    this.mine.set(message.id, item);
    return item;
  }

  acknowledged(id) {
    this.done(id);
    this.settle(id, "");
  }

  refused(packet) {
    const asked = this.asked.get(packet.id);
    if (asked) {
      this.asked.delete(packet.id);
      this.asked.delete("earlier");
      asked.failed?.();
      return;
    }
    if (this.later(packet)) return;
    // Refused, not lost on the way: sending it again by itself would only be refused again.
    if (packet.id && this.done(packet.id)) this.settle(packet.id, "refused", packet.error);
    else this.show({ kind: "note", text: packet.error, error: true });
    this.typing(false);
  }

  settle(id, state, problem) {
    const item = this.mine.get(id);
    if (!item) return;
    this.mine.delete(id);
    Object.assign(item, { state, problem });
    this.list.changed(item);
  }

  show(item) {
    this.since += 1;
    this.list.append([item]);
    this.view.changed();
  }

  works(on) {
    this.typing(on);
    // What does not grow any more is about to be replaced, or was cut off.
    if (!on) for (const item of this.streams.values()) if (item.growing) this.list.changed(Object.assign(item, { growing: false }));
  }

  typing(on) {
    clearTimeout(this.timer);
    this.view.typing(on ? this.author : null);
    if (on) this.timer = setTimeout(() => this.typing(false), TYPING);
  }
}

function near(item, other) {
  return (item.plain ?? item.text) === (other.plain ?? other.text) && Math.abs((item.sent || 0) - (other.sent || 0)) < SAME;
}
