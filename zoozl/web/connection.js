// One websocket after the other: says hello, sends what is not acknowledged again, acknowledges replies by their seq.

const FIRST_DELAY = 500; // ms before the first try to come back; doubled up to LONGEST_DELAY
const LONGEST_DELAY = 15000;
const RESUMED_ELSEWHERE = 4001;
const UNAUTHORIZED = [1008, 3000, 4401, 4403];
const RETRIES = 5; // of a message that came too fast

export class Connection {
  // `handlers`: frame(packet), welcome(packet, talkerChanged), state(words, {gone, waiting}), unauthorized().
  constructor(memory, token, handlers) {
    this.memory = memory;
    this.token = token;
    this.handlers = handlers;
    this.delay = FIRST_DELAY;
    this.welcomed = false;
    this.socket = null;
    this.timer = 0;
    this.paused = 0; // timer until which messages wait, because they came too fast
    this.retries = new Map();
    this.ended = false; // until somebody wishes otherwise
    this.online = () => this.ended || this.connect();
    window.addEventListener("online", this.online);
  }

  connect() {
    if (this.socket) return;
    clearTimeout(this.timer);
    this.ended = false;
    const url = new URL(location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => {
      const { resume, last } = this.memory.state;
      this.send({ hello: { resume, last, ...(this.token && { auth: { token: this.token } }) } });
    };
    socket.onmessage = (event) => this.socket === socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => this.socket === socket && this.closed(event);
  }

  // The end: nothing is sent and nothing comes any more.
  stop() {
    const { socket } = this;
    this.socket = null;
    this.welcomed = false;
    clearTimeout(this.timer);
    clearTimeout(this.paused);
    window.removeEventListener("online", this.online);
    socket?.close();
  }

  closed(event) {
    const before = this.welcomed;
    this.ended = event.code === RESUMED_ELSEWHERE || UNAUTHORIZED.includes(event.code);
    this.socket = null;
    this.welcomed = false;
    clearTimeout(this.paused);
    this.paused = 0;
    if (event.code === RESUMED_ELSEWHERE) {
      this.handlers.state("This conversation goes on in another tab.", { gone: true, waiting: true });
      return;
    }
    if (this.ended) {
      this.handlers.state(event.reason ? `Not signed in: ${event.reason}` : "Not signed in.", { gone: true });
      this.handlers.unauthorized();
      return;
    }
    const words = navigator.onLine === false ? "This device is offline." : before ? "Connection lost." : "No connection.";
    const seconds = Math.ceil(this.delay / 1000);
    this.handlers.state(`${words} Trying again in ${seconds} s…`, { gone: true, waiting: true });
    // Spread out, so that not all pages come back to a restarted server at once.
    this.timer = setTimeout(() => this.connect(), this.delay * (0.75 + Math.random() / 2));
    this.delay = Math.min(this.delay * 2, LONGEST_DELAY);
  }

  send(packet) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(packet));
  }

  // Send a message with an id as soon and as often as it takes until it is acknowledged or refused.
  submit(message) {
    this.memory.state.unsent.push(message);
    this.memory.save();
    if (this.welcomed && !this.paused) this.post(message);
  }

  // `secret` and `sent` are the page's own.
  post({ secret, sent, ...message }) {
    this.send(message);
  }

  postAll() {
    for (const message of this.memory.state.unsent) this.post(message);
  }

  // True if the message was still to be acknowledged.
  done(id) {
    const { state } = this.memory;
    const before = state.unsent.length;
    state.unsent = state.unsent.filter((message) => message.id !== id);
    this.retries.delete(id);
    return state.unsent.length < before;
  }

  // True if a message that came too fast will be sent again by itself.
  later({ id, retry_after: seconds }) {
    const times = (this.retries.get(id) || 0) + 1;
    if (!id || !(seconds > 0) || times > RETRIES || !this.memory.state.unsent.some((message) => message.id === id)) return false;
    this.retries.set(id, times);
    clearTimeout(this.paused);
    // Together with those behind it, so that they keep their order.
    this.paused = setTimeout(() => {
      this.paused = 0;
      if (this.welcomed) this.postAll();
    }, Math.min(seconds, 60) * 1000 + 50);
    return true;
  }

  receive(packet) {
    const { state } = this.memory;
    if (packet.welcome) {
      const talker = packet.welcome.talker ?? null;
      const changed = Boolean(state.resume) && talker !== state.talker;
      if (changed) this.memory.forget();
      state.resume = packet.welcome.resume ?? null;
      state.talker = talker;
      this.welcomed = true;
      this.delay = FIRST_DELAY;
      this.postAll();
      this.handlers.state("Connected", {});
      this.handlers.welcome(changed);
    } else if (packet.seq !== undefined) {
      if (packet.seq > state.last) {
        state.last = packet.seq;
        this.handlers.frame(packet);
      }
      this.send({ ack: packet.seq });
    } else {
      this.handlers.frame(packet);
    }
    this.memory.save();
  }
}
