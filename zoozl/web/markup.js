// The HTML that the server made of a reply's Markdown, for the page: known elements only, code with a copy button.

const KEPT = new Set(
  "A BLOCKQUOTE BR CODE EM H1 H2 H3 H4 H5 H6 HR LI OL P PRE S STRONG TABLE TBODY TD TH THEAD TR UL".split(" "),
);
const CLASSES = /^(language-[\w+#.-]{1,40}|left|right|center)$/;

export function element(name, { text, className, ...properties } = {}, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

// A DocumentFragment. The server lets no raw HTML through; that nothing else is let in here is the second lock.
export function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const node of template.content.querySelectorAll("*")) clean(node);
  for (const node of template.content.querySelectorAll("pre")) withCopy(node);
  for (const node of template.content.querySelectorAll("table")) scrollable(node);
  return template.content;
}

// What a screen reader says of it.
export function plain(html) {
  const text = [];
  for (const node of fragment(html).childNodes) text.push(node.textContent.trim());
  return text.filter(Boolean).join(" ");
}

function clean(node) {
  if (!KEPT.has(node.tagName)) {
    node.replaceWith(node.textContent);
    return;
  }
  const href = node.getAttribute("href");
  const start = node.getAttribute("start");
  const className = node.className;
  for (const { name } of [...node.attributes]) node.removeAttribute(name);
  if (CLASSES.test(className)) node.className = className;
  if (node.tagName === "OL" && /^\d{1,9}$/.test(start)) node.start = Number(start);
  if (node.tagName === "A" && /^(https?:|mailto:)/i.test(href)) {
    Object.assign(node, { href, target: "_blank", rel: "noopener noreferrer nofollow" });
  }
  // The page's own heading is the first; those of messages are below it.
  const level = /^H([1-6])$/.exec(node.tagName)?.[1];
  if (level) node.replaceWith(element(`h${Math.min(Number(level) + 1, 6)}`, {}, ...node.childNodes));
}

function withCopy(pre) {
  const language = /language-(.+)/.exec(pre.firstElementChild?.className)?.[1] || "";
  const button = element("button", { type: "button", className: "copy", text: "Copy", ariaLabel: "Copy the code" });
  button.addEventListener("click", async () => {
    const copied = await copy(pre.textContent.replace(/\n$/, ""));
    button.textContent = copied ? "Copied" : "Not copied";
    button.ariaLabel = copied ? "Copied" : "The browser did not allow to copy";
    setTimeout(() => {
      button.textContent = "Copy";
      button.ariaLabel = "Copy the code";
    }, 2000);
  });
  const frame = element("div", { className: "code" });
  pre.replaceWith(frame);
  pre.tabIndex = 0; // it scrolls sideways
  frame.append(element("div", { className: "bar" }, element("span", { text: language }), button), pre);
}

function scrollable(table) {
  const frame = element("div", { className: "table", tabIndex: 0, role: "region", ariaLabel: "Table" });
  table.replaceWith(frame);
  frame.append(table);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No such thing without https: the old way.
  }
  const area = element("textarea", { className: "hidden", value: text });
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}
