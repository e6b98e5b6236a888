// The page within another site: what it tells the script embed.js there, and what that tells it.

const origins = [location.origin, ...document.documentElement.dataset.origins.split(" ").filter(Boolean)];
const PATIENCE = 3000; // ms to wait for a script that may not be there

export const framed = window.parent !== window;

// `told(what, message)` is called for "token" and "shown". Resolves to the token to start with, or null.
export function start(told) {
  if (!framed) return Promise.resolve(null);
  return new Promise((resolve) => {
    window.addEventListener("message", ({ source, origin, data }) => {
      if (source !== window.parent || !origins.includes(origin) || typeof data?.zoozl !== "string") return;
      to = origin;
      const token = typeof data.token === "string" && data.token ? data.token : null;
      if (data.zoozl === "start") resolve(token);
      else told(data.zoozl, { token, shown: data.shown === true });
    });
    tell("ready");
    setTimeout(() => resolve(null), PATIENCE);
  });
}

// Nothing secret is in these: before the parent has shown who it is, they go to whoever it may be.
let to = "*";

export function tell(what, more = {}) {
  if (framed) window.parent.postMessage({ zoozl: what, ...more }, to);
}
