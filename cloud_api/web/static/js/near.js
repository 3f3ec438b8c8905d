// Nearest first: where this phone is goes into a cookie of this browser session, rounded to a hundred
// metres; it stands in no address. Another tap forgets it.

const button = document.querySelector('[data-near]');
const say = document.querySelector('[data-near-say]');
const keep = (value, seconds) => { document.cookie = `kaimen_place=${value}; path=/; max-age=${seconds}; samesite=lax${location.protocol === 'https:' ? '; secure' : ''}`; };

button?.addEventListener('click', () => {
  if (button.getAttribute('aria-pressed') === 'true') {
    keep('', 0);
    location.reload();
    return;
  }
  const failed = () => {
    button.removeAttribute('aria-busy');
    say.textContent = button.dataset.tDenied;
  };
  if (!navigator.geolocation) return void failed();
  if (button.getAttribute('aria-busy') === 'true') return undefined;
  button.setAttribute('aria-busy', 'true');
  say.textContent = '';
  navigator.geolocation.getCurrentPosition(({ coords }) => {
    keep(`${coords.latitude.toFixed(3)}_${coords.longitude.toFixed(3)}`, 1800);
    location.reload();
  }, failed, { maximumAge: 60000, timeout: 15000 });
  return undefined;
});
