// Posts the form to the provider once; who comes back with the back button is not sent away again.

const form = document.querySelector('[data-pay-go]');
const [entry] = performance.getEntriesByType('navigation');
if (form && entry?.type !== 'back_forward') form.submit();
