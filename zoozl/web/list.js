// A list of which only the part that is seen, and a screenful around it, is in the document.
//
// Every row has a height: measured once it was in the document, guessed before. The rows that are left out are padding.
// Whatever changes above, the first row that is seen stays where it is, and a list that is at its end stays there.

const NEAR = 48; // px from the end at which a reader who scrolls down is taken to it
const FEW = 400; // rows that may stay in the document because something in them is selected

export class List {
  // `scroller` scrolls, `body` is the <ol> in it; draw(item, previous item) makes an <li>, drop(li) ends it.
  constructor(scroller, body, { draw, drop, moved }) {
    this.scroller = scroller;
    this.body = body;
    this.draw = draw;
    this.drop = drop;
    this.moved = moved;
    this.rows = [];
    this.byItem = new Map();
    this.byNode = new WeakMap();
    this.tops = new Float64Array(1);
    this.stale = false;
    this.from = 0;
    this.to = 0;
    this.atEnd = true;
    this.lastTop = 0;
    this.hasMore = false; // whether there are earlier items that are not here
    this.frame = 0;
    this.sizes = new ResizeObserver((entries) => this.resized(entries));
    this.sizes.observe(scroller);
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
  }

  get items() {
    return this.rows.map((row) => row.item);
  }

  append(items) {
    for (const item of items) this.rows.push(this.row(item));
    this.stale = true;
    this.later();
  }

  prepend(items) {
    const held = this.hold();
    this.rows = [...items.map((item) => this.row(item)), ...this.rows];
    this.stale = true;
    this.from += items.length;
    this.to += items.length;
    this.redraw(this.rows[items.length]); // no longer the first one
    this.show(held);
  }

  remove(item) {
    const row = this.byItem.get(item);
    if (!row) return;
    const held = this.hold();
    this.layout();
    this.out(row);
    this.byItem.delete(item);
    this.rows.splice(row.at, 1);
    if (row.at < this.from) this.from -= 1;
    if (row.at < this.to) this.to -= 1;
    this.stale = true;
    this.follow(row.at);
    this.show(held.row === row ? undefined : held);
  }

  clear() {
    for (const row of this.rows) this.out(row);
    this.rows = [];
    this.byItem.clear();
    this.from = this.to = 0;
    this.stale = this.atEnd = true;
    this.later();
  }

  // The item says something else than when it was drawn.
  changed(item) {
    const row = this.byItem.get(item);
    if (!row) return;
    const held = this.hold();
    this.redraw(row);
    this.show(held);
  }

  toEnd() {
    this.atEnd = true;
    this.show();
  }

  // Draw at the next frame, however often this is called.
  later() {
    this.frame ||= requestAnimationFrame(() => this.show());
  }

  row(item) {
    const row = { item, node: null, at: 0, height: 52 + 22 * Math.floor((item.text?.length || 0) / 60) };
    this.byItem.set(item, row);
    return row;
  }

  // The row after a place has another one before it now.
  follow(at) {
    this.layout();
    if (this.rows[at]) this.redraw(this.rows[at]);
  }

  layout() {
    if (!this.stale) return;
    const { rows } = this;
    if (this.tops.length <= rows.length) this.tops = new Float64Array(rows.length * 2 + 1);
    let top = 0;
    for (let at = 0; at < rows.length; at += 1) {
      rows[at].at = at;
      this.tops[at] = top;
      top += rows[at].height;
    }
    this.tops[rows.length] = top;
    this.stale = false;
  }

  // The index of the row at `y` px from the top of the list.
  find(y) {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return Math.max(low, 0);
  }

  // What is seen first, and how far above the edge it begins.
  hold() {
    if (!this.rows.length) return {};
    this.layout();
    const view = this.scroller.scrollTop - this.body.offsetTop;
    const at = this.find(view);
    return { row: this.rows[at], offset: view - this.tops[at] };
  }

  // Bring the document up to date; `held` is what should stay where it is.
  show(held = this.hold()) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const height = this.scroller.clientHeight;
    if (!height) return; // not shown at all: later
    const count = this.rows.length;
    let view = 0;
    // Until nothing new comes in: what is guessed too high leaves room for more.
    for (let round = 0; round < 6; round += 1) {
      this.layout();
      if (this.atEnd || !held.row) view = Math.max(0, this.tops[count] - height);
      else view = this.tops[held.row.at] + held.offset;
      const from = count ? this.find(view - height) : 0;
      const to = count ? this.find(view + 2 * height) + 1 : 0;
      if (!this.fill(from, to)) break;
    }
    this.layout();
    this.place(this.atEnd ? Infinity : view);
    this.number();
    this.moved();
  }

  place(view) {
    const { body, scroller } = this;
    body.style.paddingTop = `${this.tops[this.from]}px`;
    body.style.paddingBottom = `${this.tops[this.rows.length] - this.tops[this.to]}px`;
    const top = view === Infinity ? scroller.scrollHeight - scroller.clientHeight : view + body.offsetTop;
    if (Math.abs(scroller.scrollTop - top) > 0.5) scroller.scrollTop = top;
    this.lastTop = scroller.scrollTop;
  }

  // Have exactly these rows in the document. True if some of them are not as high as was thought.
  fill(from, to) {
    [from, to] = this.keep(from, to);
    for (let at = this.from; at < this.to; at += 1) {
      if (at < from || at >= to) this.out(this.rows[at]);
    }
    this.from = from;
    this.to = to;
    const fresh = [];
    let next = this.body.firstElementChild;
    for (let at = from; at < to; at += 1) {
      const row = this.rows[at];
      if (row.node) {
        next = row.node.nextElementSibling;
        continue;
      }
      row.node = this.draw(row.item, this.rows[at - 1]?.item);
      this.byNode.set(row.node, row);
      this.body.insertBefore(row.node, next);
      fresh.push(row);
    }
    // After all of them are in: one layout, not one for each.
    let wrong = false;
    for (const row of fresh) {
      const { height } = row.node.getBoundingClientRect();
      if (Math.abs(height - row.height) > 0.5) wrong = true;
      row.height = height;
      this.sizes.observe(row.node);
    }
    this.stale ||= wrong;
    return wrong;
  }

  // Rows stay while something in them is selected or has the focus, within reason.
  keep(from, to) {
    const chosen = getSelection();
    const held = [document.activeElement, ...(chosen.isCollapsed ? [] : [chosen.anchorNode, chosen.focusNode])];
    for (const node of held) {
      if (!node || node === this.body || !this.body.contains(node)) continue;
      const element = node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement;
      let item = element;
      while (item.parentElement && item.parentElement !== this.body) item = item.parentElement;
      const at = this.byNode.get(item)?.at ?? from;
      if (Math.max(to, at + 1) - Math.min(from, at) <= FEW) [from, to] = [Math.min(from, at), Math.max(to, at + 1)];
      else if (node === document.activeElement) this.scroller.focus({ preventScroll: true });
    }
    return [from, to];
  }

  // A row anew where it stands, with its height measured.
  redraw(row) {
    if (!row?.node) return;
    this.layout();
    const node = this.draw(row.item, this.rows[row.at - 1]?.item);
    const focus = row.node.contains(document.activeElement);
    row.node.replaceWith(node);
    this.sizes.unobserve(row.node);
    this.drop(row.node);
    row.node = node;
    this.byNode.set(node, row);
    this.sizes.observe(node);
    row.height = node.getBoundingClientRect().height;
    this.stale = true;
    if (focus) this.scroller.focus({ preventScroll: true });
  }

  out(row) {
    if (!row.node) return;
    this.sizes.unobserve(row.node);
    row.node.remove();
    this.drop(row.node);
    row.node = null;
  }

  number() {
    const size = this.hasMore ? -1 : this.rows.length;
    for (let at = this.from; at < this.to; at += 1) {
      const { node } = this.rows[at];
      if (node.ariaPosInSet !== String(at + 1)) node.ariaPosInSet = String(at + 1);
      if (node.ariaSetSize !== String(size)) node.ariaSetSize = String(size);
    }
  }

  // Pictures have loaded, the window has another width: nothing that is read may move.
  resized(entries) {
    const held = this.hold();
    let wrong = false;
    for (const { target, borderBoxSize } of entries) {
      const row = this.byNode.get(target);
      if (target === this.scroller) wrong = true;
      if (!row || row.node !== target) continue;
      const height = borderBoxSize[0].blockSize;
      if (Math.abs(height - row.height) > 0.5) {
        row.height = height;
        this.stale = wrong = true;
      }
    }
    if (!wrong || !this.scroller.clientHeight) return;
    this.layout();
    // Before this frame is painted; whether rows come or go can wait for the next one.
    if (this.atEnd || !held.row) this.place(Infinity);
    else this.place(this.tops[held.row.at] + held.offset);
    this.later();
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const left = scrollHeight - clientHeight - scrollTop;
    if (scrollTop < this.lastTop - 0.5) this.atEnd = left < 2;
    else if (scrollTop > this.lastTop + 0.5) this.atEnd = left < NEAR;
    this.lastTop = scrollTop;
    this.show();
  }
}
