// Draws the state that the demonstration streams, and sends what is pressed. No framework.
const $ = (id) => document.getElementById(id);
const node = (tag, props = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
};

async function send(path, body = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }).catch(() => null);
  const note = $("error");
  note.hidden = Boolean(answer && answer.ok);
  if (note.hidden) return;
  note.textContent = answer ? (await answer.json()).detail : "演示已经停了，请重新运行 make demo。";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { advance, program, act, board, input, fault, on, code } = button.dataset;
  if (code) {
    if (!shown.delete(code)) shown.add(code);
    drawBoards(seen.boards);
    document.querySelector(`[data-code="${code}"]`).focus();
  } else if (advance) send("/clock", { advance_s: Number(advance) });
  else if (program) send(`/programs/${program}/${act}`);
  else if (input) send(`/boards/${board}/inputs/${input}`, { on: on === "true" });
  else if (fault) send(`/boards/${board}/fault`, { dead: fault === "dead" });
});

let ahead = 0; // server's business time minus this page's monotonic time, ms
let zone = "Asia/Shanghai";

function tick() {
  const now = new Date(ahead + performance.now());
  const parts = { timeZone: zone, hour12: false };
  $("now").textContent = now.toLocaleTimeString("zh-CN", { ...parts, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  $("day").textContent = now.toLocaleDateString("zh-CN", { timeZone: zone, month: "long", day: "numeric", weekday: "short" });
}

function span(seconds) {
  const minutes = Math.round(seconds / 60);
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours} 小时 ${minutes % 60} 分` : `${minutes} 分`;
}

// A pulse is shorter than a glance: its lamp stays lit for a moment after the count rose.
const counted = new Map();
const LIT_MS = 1500;
function pulsing(board, one) {
  const key = `${board.id}/${one.channel}`;
  const before = counted.get(key) || { pulses: one.pulses, at: -Infinity };
  if (one.pulses > before.pulses) {
    before.at = performance.now();
    setTimeout(() => seen && drawBoards(seen.boards), LIT_MS);
  }
  counted.set(key, { pulses: one.pulses, at: before.at });
  return one.on || performance.now() - before.at < LIT_MS;
}

function coil(board, one) {
  const lock = one.role === "lock";
  const on = lock ? pulsing(board, one) : one.on;
  const word = lock ? (on ? "开锁" : `开过 ${one.pulses} 次`) : on ? "通电" : "断电";
  const item = node("li", { className: "coil" + (on ? " on" : "") });
  Object.assign(item.dataset, { coil: `${board.name}/${one.name}`, on, pulses: one.pulses });
  item.append(node("span", { className: "lamp" }), node("b", { textContent: one.name }), node("small", { textContent: word }));
  return item;
}

function doorLine(door) {
  const code = node("button", { textContent: shown.has(door.name) ? "收起" : "看码" });
  code.dataset.code = door.name;
  const open = node("a", { className: "open", href: door.url, textContent: "当作扫码", target: "_blank", rel: "noopener" });
  open.dataset.door = door.name;
  const line = node("div", { className: "door" }, node("span", { textContent: `${door.name}上的码` }), code, open);
  if (shown.has(door.name)) line.append(node("img", { src: door.code, alt: `${door.name}的二维码` }));
  return line;
}
const shown = new Set();

// What is being typed must outlive the cards, which are drawn anew several times a second.
const scanForms = new Map();
function scanForm(board) {
  if (!scanForms.has(board.id)) {
    const text = node("input", { name: "text", maxLength: 512, autocomplete: "off", required: true });
    text.setAttribute("aria-label", "把码放到扫描器前");
    text.placeholder = "把码放到扫描器前";
    const form = node("form", { className: "scan" }, text, node("button", { textContent: "扫" }));
    form.dataset.scan = board.id;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(`/boards/${board.id}/scan`, { text: text.value.trim() });
      text.value = "";
    });
    scanForms.set(board.id, form);
  }
  return scanForms.get(board.id);
}

function boardCard(board) {
  const card = node("article", { className: "board" + (board.dead ? " dead" : "") });
  card.dataset.board = board.id;
  const dead = node("button", { textContent: board.dead ? "接回去" : "拔掉" });
  Object.assign(dead.dataset, { board: board.id, fault: board.dead ? "none" : "dead" });
  const where = board.reader ? board.model : `地址 ${board.unit} · ${board.model}`;
  const state = board.dead ? "拔掉了，不回话" : where;
  card.append(
    node("header", {}, node("div", {}, node("h3", { textContent: board.name }), node("small", { textContent: state })), dead),
  );
  const used = board.coils.filter((one) => one.name);
  if (used.length) card.append(node("ul", { className: "coils" }, ...used.map((one) => coil(board, one))));
  if (board.inputs.length) {
    const row = node("div", { className: "sensors" });
    for (const one of board.inputs) {
      const press = node("button", { className: "sensor" });
      press.append(node("span", { textContent: one.name }), node("small", { textContent: one.on ? one.words[0] : one.words[1] }));
      press.setAttribute("aria-pressed", String(one.on));
      Object.assign(press.dataset, { board: board.id, input: one.channel, on: String(!one.on) });
      row.append(press);
    }
    card.append(row, node("p", { className: "hint", textContent: "点一下换：房里有人，还是人都走了；门开着，还是关着。超时按它们算。" }));
  }
  card.append(...board.doors.map((door) => doorLine(door)));
  if (board.reader) card.append(scanForm(board));
  return card;
}

const drawBoards = (boards) => $("boards").replaceChildren(...boards.map(boardCard));

// The code of a login is what one looks for: larger than the rest.
function message(text) {
  const [before, code, after] = text.split(/(\d{6})/, 3);
  return code ? [before, node("b", { textContent: code }), after] : [text];
}

let seen = null;
function draw(state) {
  zone = state.tz;
  seen = state;
  $("store").textContent = state.store;
  ahead = Date.parse(state.now) - performance.now();
  $("offset").textContent = state.offset_s >= 60 ? `比真实时间快 ${span(state.offset_s)}` : "和真实时间一样";
  $("links").replaceChildren(
    ...state.links.map((link) => node("a", { href: link.url, textContent: link.text, target: "_blank", rel: "noopener" })),
  );
  $("inbox").replaceChildren(
    ...(state.phone.length
      ? state.phone.map((sms) => node("li", {}, node("small", { textContent: sms.phone }), ...message(sms.text)))
      : [node("li", { className: "none", textContent: "还没有短信。登录时的验证码会到这里。" })]),
  );
  $("programs").replaceChildren(
    ...state.programs.map((one) => {
      const press = node("button", { textContent: one.running ? "断电" : "通电" });
      Object.assign(press.dataset, { program: one.name, act: one.running ? "kill" : "start" });
      const line = node(
        "li",
        {},
        node("span", { className: "dot" + (one.running ? "" : " off") }),
        node("span", { textContent: one.label }),
        node("small", { className: "hint", textContent: one.running ? "运行中" : "停了" }),
        press,
      );
      line.dataset.program = one.name;
      return line;
    }),
  );
  drawBoards(state.boards);
}

const focusKey = () => {
  const at = document.activeElement;
  return at && at.tagName === "BUTTON" ? JSON.stringify(at.dataset).replace(/"(on|act|fault)":"[^"]*",?/g, "") : null;
};

let last = "";
new EventSource("/stream").onmessage = (event) => {
  const state = JSON.parse(event.data);
  const { now, ...rest } = state;
  ahead = Date.parse(now) - performance.now();
  const shape = JSON.stringify(rest);
  if (shape === last) return;
  last = shape;
  const key = focusKey();
  draw(state);
  if (!key) return;
  for (const button of document.querySelectorAll("button")) {
    if (JSON.stringify(button.dataset).replace(/"(on|act|fault)":"[^"]*",?/g, "") === key) button.focus();
  }
};
setInterval(tick, 250);
