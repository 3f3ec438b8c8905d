// Sheets are <dialog>s: [data-open-sheet="x"] opens #sheet-x; Escape, the scrim, a drag down and
// [data-close-sheet] close it. The browser traps the focus and gives it back.

document.addEventListener('click', (event) => {
  const opener = event.target.closest('[data-open-sheet]');
  if (opener) document.getElementById(`sheet-${opener.dataset.openSheet}`)?.showModal();
  const closer = event.target.closest('[data-close-sheet]');
  if (closer) closer.closest('dialog')?.close();
  if (event.target instanceof HTMLDialogElement) {
    const box = event.target.getBoundingClientRect();
    const inside = event.clientY >= box.top && event.clientY <= box.bottom && event.clientX >= box.left && event.clientX <= box.right;
    if (!inside && event.clientX + event.clientY > 0) event.target.close();
  }
});

let drag = null;
document.addEventListener('pointerdown', (event) => {
  const handle = event.target.closest('dialog .sheet-handle, dialog .sheet-head');
  if (handle) drag = { dialog: handle.closest('dialog'), y: event.clientY };
});
document.addEventListener('pointermove', (event) => {
  if (drag) drag.dialog.style.setProperty('transform', `translateY(${Math.max(0, event.clientY - drag.y)}px)`);
});
for (const end of ['pointerup', 'pointercancel']) {
  document.addEventListener(end, (event) => {
    if (!drag) return;
    drag.dialog.style.removeProperty('transform');
    if (event.clientY - drag.y > 80) drag.dialog.close();
    drag = null;
  });
}

/** A short word at the bottom; nothing that needs an answer is said this way. */
export function toast(text, seconds = 4, act = null) {
  const place = document.querySelector('[data-toasts]');
  const box = document.createElement('div');
  box.className = 'toast';
  box.textContent = text;
  if (act) box.append(act);
  place?.replaceChildren(box);
  setTimeout(() => box.remove(), seconds * 1000);
}
