// Where the talker writes: a text that grows, files by button, drop or paste, with previews before they are sent.

import { isPicture, readableSize, toFrame } from "./files.js";
import { element } from "./markup.js";

const ROOM = 2000; // bytes of a frame that are neither text nor files

export class Composer {
  // `limit`: bytes of the longest frame; `send({text, files})`, with files as the server takes them.
  constructor({ form, text, attach, picker, chosen, problem }, limit, send) {
    Object.assign(this, { form, text, picker, chosen, problem, limit, send });
    this.files = [];
    this.busy = Promise.resolve();
    this.reading = 0;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    text.addEventListener("input", () => this.grow());
    text.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
    attach.addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      this.add(picker.files);
      picker.value = "";
    });
    this.takeDrops(document.body);
  }

  takeDrops(target) {
    const withFiles = (event) => event.dataTransfer?.types.includes("Files");
    target.addEventListener("dragover", (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      target.classList.add("dropping");
    });
    target.addEventListener("dragleave", (event) => event.relatedTarget || target.classList.remove("dropping"));
    target.addEventListener("drop", (event) => {
      target.classList.remove("dropping");
      if (!withFiles(event)) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
  }

  grow() {
    this.text.style.height = "";
    this.text.style.height = `${this.text.scrollHeight + 2}px`;
  }

  say(words) {
    this.problem.textContent = words;
    this.problem.hidden = !words;
  }

  // What the frame would have, as base64 and UTF-8.
  size(files) {
    const text = new TextEncoder().encode(JSON.stringify(this.text.value)).length;
    return files.reduce((sum, file) => sum + Math.ceil(file.size / 3) * 4 + 200, text + ROOM);
  }

  add(list) {
    this.say("");
    for (const file of list) {
      if (this.size([...this.files, file]) > this.limit) {
        const most = readableSize(Math.max(0, Math.floor(((this.limit - ROOM) * 3) / 4)));
        this.say(`${file.name} (${readableSize(file.size)}) is too large: about ${most} can be sent in one message.`);
        continue;
      }
      this.files.push(file);
      this.chosen.append(this.chip(file));
    }
    this.chosen.hidden = !this.files.length;
    this.text.focus();
  }

  chip(file) {
    const chip = element("li");
    if (isPicture(file.type)) {
      const url = URL.createObjectURL(file);
      const picture = element("img", { src: url, alt: "" });
      picture.onload = picture.onerror = () => URL.revokeObjectURL(url);
      chip.append(picture);
    }
    const remove = element("button", { type: "button", text: "×", ariaLabel: `Remove ${file.name}` });
    remove.addEventListener("click", () => {
      this.files = this.files.filter((other) => other !== file);
      chip.remove();
      this.chosen.hidden = !this.files.length;
      this.say("");
      this.text.focus();
    });
    chip.append(element("span", { text: `${file.name} (${readableSize(file.size)})` }), remove);
    return chip;
  }

  submit() {
    const text = this.text.value.trim();
    const { files } = this;
    if (!text && !files.length) return;
    if (this.size(files) > this.limit) {
      this.say("This is too long for one message.");
      return;
    }
    this.say("");
    this.text.value = "";
    this.grow();
    this.files = [];
    this.chosen.replaceChildren();
    this.chosen.hidden = true;
    this.text.focus();
    // Reading a file takes a moment: what is sent meanwhile stays behind it.
    if (!files.length && !this.reading) {
      this.send({ text });
      return;
    }
    this.reading += 1;
    this.busy = this.busy.then(() => this.hand(text, files)).finally(() => (this.reading -= 1));
  }

  async hand(text, files) {
    let frames = [];
    try {
      frames = await Promise.all(files.map(toFrame));
    } catch (error) {
      this.say(`A file could not be read: ${error.message}`);
      if (!text) return;
    }
    this.send({ text, ...(frames.length && { files: frames }) });
  }
}
