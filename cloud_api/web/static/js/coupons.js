// The coupon page: only the fields of the chosen kind (and of the chosen customers) are shown and sent.

for (const [name, attribute] of [['kind', 'kind'], ['segment', 'segment']]) {
  for (const select of document.querySelectorAll(`select[name="${name}"]`)) {
    const show = () => {
      for (const part of select.form.querySelectorAll(`[data-${attribute}]`)) part.hidden = part.dataset[attribute] !== select.value;
    };
    select.addEventListener('change', show);
    select.form.addEventListener('reset', () => setTimeout(show));
    show();
  }
}
