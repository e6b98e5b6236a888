// What a reload of this tab goes on with: the resume token, the last reply that came, and what is not acknowledged yet.

const EMPTY = { resume: null, last: 0, read: 0, talker: null, question: null, unsent: [] };
// Claims that differ between two tokens of the same person.
const PASSING = new Set(["exp", "iat", "nbf", "jti", "auth_time"]);

// The same until the page is closed: browsers may refuse to keep anything for a page within another site.
const here = new Map();

export class Memory {
  // `token`: the JWT of who talks, or null. Each person has a memory of their own.
  constructor(token) {
    this.key = `zoozl ${location.pathname}${token ? ` ${person(token)}` : ""}`;
    this.complete = true; // false while something unsent would not survive a reload
    this.state = { ...structuredClone(EMPTY), ...read(this.key) };
  }

  save() {
    const { unsent } = this.state;
    here.set(this.key, this.state);
    const harmless = unsent.filter((message) => !message.secret);
    const small = harmless.filter((message) => !message.files);
    this.complete = harmless.length === unsent.length && this.write(harmless);
    // Browsers keep some five megabytes: rather lose a file than everything.
    if (!this.complete && !this.write(harmless)) this.write(small);
  }

  write(unsent) {
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ ...this.state, unsent }));
      return true;
    } catch {
      return false; // no room, or no storage in this browser
    }
  }

  forget() {
    Object.assign(this.state, structuredClone(EMPTY));
    this.save();
  }
}

function read(key) {
  if (here.has(key)) return here.get(key);
  try {
    return JSON.parse(sessionStorage.getItem(key) || "{}");
  } catch {
    return {};
  }
}

// A short name for whose token this is; the server alone decides whether the token is good.
function person(token) {
  let claims = token;
  try {
    const payload = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    claims = JSON.stringify(Object.entries(JSON.parse(payload)).filter(([name]) => !PASSING.has(name)));
  } catch {
    // Not a token that can be read: it is its own name.
  }
  let hash = 14695981039346656037n;
  for (const unit of claims) hash = ((hash ^ BigInt(unit.codePointAt(0))) * 1099511628211n) & 0xffffffffffffffffn;
  return hash.toString(36);
}
