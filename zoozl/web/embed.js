// For other sites: a button that opens the chat page in a frame. Loaded by
//
//   <script src="https://bot.example.com/page/embed.js" data-label="Chat with us" defer></script>
//
// data-label, data-side ("right" or "left"), data-open ("true": opened at once), data-token (a JWT). In JavaScript:
// zoozlChat.open(), .close(), .setToken(token); the event "zoozl:token-needed" of `document` asks for a new token.
"use strict";

(() => {
  const script = document.currentScript;
  if (!script || window.zoozlChat) return;

  const { label = "Chat", side = "right", open: atOnce, token: firstToken } = script.dataset;
  const page = new URL("{{page}}", script.src);
  let token = firstToken || null;
  let frame = null;
  script.removeAttribute("data-token");

  const style = (node, values) => {
    for (const [name, value] of Object.entries(values)) node.style.setProperty(name, value);
    return node;
  };

  const host = style(document.createElement("div"), {
    position: "fixed",
    bottom: "1rem",
    [side === "left" ? "left" : "right"]: "1rem",
    "z-index": "2147483000",
  });
  const root = host.attachShadow({ mode: "open" });
  const button = style(document.createElement("button"), {
    font: "600 16px/1.2 system-ui, sans-serif",
    padding: "0.8rem 1.2rem",
    border: "2px solid {{ink}}",
    "border-radius": "2rem",
    color: "{{ink}}",
    background: "{{accent}}",
    "box-shadow": "0 2px 12px rgb(0 0 0 / 30%)",
    cursor: "pointer",
  });
  button.type = "button";
  button.textContent = label;
  button.ariaExpanded = "false";
  root.append(button);

  const tell = (what, more) => frame?.contentWindow?.postMessage({ zoozl: what, ...more }, page.origin);

  const show = (shown) => {
    if (!frame && !shown) return;
    if (!frame) {
      frame = style(document.createElement("iframe"), {
        position: "absolute",
        bottom: "calc(100% + 0.75rem)",
        [side === "left" ? "left" : "right"]: "0",
        width: "min(25rem, calc(100vw - 2rem))",
        height: "min(40rem, calc(100vh - 6rem))",
        border: "0",
        "border-radius": "0.8rem",
        "box-shadow": "0 4px 24px rgb(0 0 0 / 35%)",
        background: "Canvas",
      });
      frame.title = label;
      frame.allow = "clipboard-write";
      frame.src = page.href;
      root.prepend(frame);
    }
    frame.style.display = shown ? "block" : "none";
    button.ariaExpanded = String(shown);
    button.textContent = shown ? `Close ${label}` : label;
    tell("shown", { shown });
    if (shown) frame.focus();
    else button.focus();
  };

  window.addEventListener("message", ({ source, origin, data }) => {
    if (!frame || source !== frame.contentWindow || origin !== page.origin) return;
    if (data?.zoozl === "ready") tell("start", { token });
    if (data?.zoozl === "close") show(false);
    if (data?.zoozl === "unread" && frame.style.display === "none") {
      button.textContent = Number(data.count) > 0 ? `${label} (${Number(data.count)})` : label;
    }
    if (data?.zoozl === "token-needed") document.dispatchEvent(new CustomEvent("zoozl:token-needed"));
  });
  button.addEventListener("click", () => show(button.ariaExpanded !== "true"));

  window.zoozlChat = Object.freeze({
    open: () => show(true),
    close: () => show(false),
    setToken(given) {
      token = given || null;
      tell("token", { token });
    },
  });

  const begin = () => {
    document.body.append(host);
    if (atOnce === "true") show(true);
  };
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
