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
  const { advance, program, act, board, input, fault, on } = button.dataset;
  if (advance) send("/clock", { advance_s: Number(advance) });
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

function coil(one) {
  const item = node("li", { className: "coil" + (one.on ? " on" : "") + (one.name ? "" : " spare") });
  item.append(node("b", { textContent: one.name || `${one.channel} 路` }));
  const word = one.role === "lock" ? (one.on ? "开锁中" : `开过 ${one.pulses} 次`) : one.on ? "通电" : "断电";
  item.append(node("i", { textContent: one.name ? word : "空着" }));
  return item;
}

function boardCard(board) {
  const card = node("article", { className: "board" + (board.dead ? " dead" : "") });
  const state = board.dead ? "不回话" : `地址 ${board.unit} · ${board.model}`;
  const dead = node("button", { textContent: board.dead ? "修好它" : "让它坏" });
  Object.assign(dead.dataset, { board: board.id, fault: board.dead ? "none" : "dead" });
  card.append(
    node("header", {}, node("div", {}, node("h3", { textContent: board.name }), node("small", { textContent: state })), dead),
  );
  if (board.coils.length) card.append(node("ul", { className: "coils" }, ...board.coils.map(coil)));
  if (board.inputs.length) {
    const row = node("div", { className: "row" });
    for (const one of board.inputs) {
      const press = node("button", { textContent: `${one.name}：${one.on ? "有人" : "没人"}` });
      press.setAttribute("aria-pressed", String(one.on));
      Object.assign(press.dataset, { board: board.id, input: one.channel, on: String(!one.on) });
      row.append(press);
    }
    card.append(row);
  }
  return card;
}

function draw(state) {
  zone = state.tz;
  ahead = Date.parse(state.now) - performance.now();
  $("offset").textContent = state.offset_s >= 60 ? `比真实时间快 ${span(state.offset_s)}` : "和真实时间一样";
  $("links").replaceChildren(
    ...state.links.map((link) => node("a", { href: link.url, textContent: link.text, target: "_blank", rel: "noopener" })),
  );
  $("inbox").replaceChildren(
    ...(state.phone.length
      ? state.phone.map((sms) => node("li", {}, node("small", { textContent: sms.phone }), sms.text))
      : [node("li", { className: "none", textContent: "还没有短信。登录时的验证码会到这里。" })]),
  );
  $("programs").replaceChildren(
    ...state.programs.map((one) => {
      const press = node("button", { textContent: one.running ? "断电" : "通电" });
      Object.assign(press.dataset, { program: one.name, act: one.running ? "kill" : "start" });
      return node(
        "li",
        {},
        node("span", { className: "dot" + (one.running ? "" : " off") }),
        node("span", { textContent: one.label }),
        node("small", { className: "hint", textContent: one.running ? "运行中" : "停了" }),
        press,
      );
    }),
  );
  $("boards").replaceChildren(...state.boards.map(boardCard));
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
