// Cancelling several orders: the column says what the chosen way gives back; after the act, what became of each.

const form = document.querySelector('[data-cancel-many]');

function show() {
  const ruled = form.elements.by_rules.value === 'true';
  for (const part of document.querySelectorAll('[data-whole]')) part.hidden = ruled;
  for (const part of document.querySelectorAll('[data-ruled]')) part.hidden = !ruled;
}

form?.addEventListener('change', show);
form?.addEventListener('km:done', (event) => {
  event.preventDefault();
  for (const one of event.detail.items) {
    const place = document.querySelector(`[data-outcome="${CSS.escape(one.id)}"]`);
    const words = one.state === 'refused' ? one.message : form.dataset[one.state === 'done' ? 'tDone' : 'tSame'];
    const told = document.createElement('b');
    told.textContent = words;
    const money = [...place.querySelectorAll('[data-whole], [data-ruled]')].find((part) => !part.hidden);
    if (one.state === 'done') place.closest('tr').querySelector('.state')?.remove(); // it is not so any more
    place.replaceChildren(told, ...(one.state === 'done' && money ? [document.createElement('br'), money] : []));
  }
  const said = document.querySelector('[data-many-told]');
  said.textContent = event.detail.message;
  said.hidden = false;
  form.hidden = true;
});
