// Photos in a form: each is sent when it is chosen and shown with what takes it away; the form names those
// that stand there when it is sent. Markup: parts/photos.html.

const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? '';

async function send(box, file) {
  const headers = { 'X-CSRF-Token': csrf, Accept: 'application/json', 'Content-Type': file.type || 'application/octet-stream' };
  // A store that the form asks for first goes along.
  const place = box.closest('form').elements.store_id?.value;
  const url = place ? `${box.dataset.photos}?store_id=${encodeURIComponent(place)}` : box.dataset.photos;
  let told = {};
  try {
    const answer = await fetch(url, { method: 'POST', body: file, credentials: 'same-origin', headers });
    told = await answer.json().catch(() => ({}));
    if (answer.ok) return told;
  } catch {
    told = {};
  }
  throw new Error(told.detail ?? box.dataset.tFailed);
}

function show(box, photo) {
  const made = box.querySelector('template').content.firstElementChild.cloneNode(true);
  made.querySelector('img').src = photo.src;
  made.querySelector('input').value = photo.id;
  made.querySelector('button').addEventListener('click', () => {
    made.remove();
    full(box);
  });
  box.querySelector('[data-photo-add]').before(made);
}

function full(box) {
  box.querySelector('[data-photo-add]').hidden = box.querySelectorAll('input[name="photos"]').length >= Number(box.dataset.most);
}

for (const box of document.querySelectorAll('[data-photos]')) {
  const input = box.querySelector('input[type="file"]');
  const place = box.querySelector('[data-error-for="photos"]');
  input.addEventListener('change', async () => {
    const label = input.closest('label');
    const submit = box.closest('form').querySelector('[type="submit"]');
    const left = Number(box.dataset.most) - box.querySelectorAll('input[name="photos"]').length;
    label.setAttribute('aria-busy', 'true');
    submit.setAttribute('aria-busy', 'true'); // what is under way goes along
    place.textContent = '';
    for (const file of [...input.files].slice(0, left)) {
      try {
        show(box, await send(box, file));
      } catch (refused) {
        place.textContent = `${file.name}: ${refused.message}`;
      }
    }
    input.value = '';
    label.removeAttribute('aria-busy');
    submit.removeAttribute('aria-busy');
    full(box);
  });
}
