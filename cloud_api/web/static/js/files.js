// Small files in forms that speak to the JSON API: read when chosen, put as Base64 into a hidden field.
//   data-into="name"   on the file input: the hidden field beside it; data-t-large says that it is too large

const LIMIT = 64 * 1024;

document.addEventListener('change', (event) => {
  const input = event.target;
  if (!input.matches?.('input[type="file"][data-into]')) return;
  const field = input.form.elements[input.dataset.into];
  const place = input.form.querySelector(`[data-error-for="${CSS.escape(input.dataset.into)}"]`);
  const [file] = input.files;
  field.value = '';
  place.textContent = '';
  if (!file) return;
  if (file.size > LIMIT) {
    place.textContent = input.dataset.tLarge;
    input.value = '';
    return;
  }
  const reader = new FileReader();
  reader.addEventListener('load', () => { field.value = reader.result.slice(reader.result.indexOf(',') + 1); });
  reader.readAsDataURL(file);
});
