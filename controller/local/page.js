// Draws the live part again every two seconds, and runs the self-test. Says when the controller is gone.
"use strict";
const live = document.getElementById("live");
const test = document.getElementById("test");
const run = document.getElementById("run");

async function look() {
  try {
    const answer = await fetch("/live", { cache: "no-store" });
    if (answer.status === 401) { location.assign("/"); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    live.innerHTML = await answer.text();
    live.classList.remove("stale");
  } catch {
    live.classList.add("stale");
  }
}

run.addEventListener("click", async () => {
  run.disabled = true;
  run.textContent = "正在问…";
  try {
    const answer = await fetch("/self-test", { method: "POST" });
    if (answer.status === 401) { location.assign("/"); return; }
    test.innerHTML = await answer.text();
  } catch {
    test.innerHTML = '<p class="note bad">控制器没有回话：它可能正在重启，过一会儿再试</p>';
  }
  run.disabled = false;
  run.textContent = "再来一次";
});

setInterval(look, 2000);
