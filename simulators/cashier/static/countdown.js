// Counts down what the page already says; without it the page works and the server decides anyway.
for (const clock of document.querySelectorAll('[data-left]')) {
  const end = performance.now() + Number(clock.dataset.left) * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    clock.textContent = `${Math.floor(left / 60)} 分 ${String(left % 60).padStart(2, '0')} 秒`;
    if (left === 0) location.reload();
    else setTimeout(tick, 250);
  };
  tick();
}
