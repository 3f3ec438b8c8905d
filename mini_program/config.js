// The one thing to change: the address of your Kaimen, as KAIMEN_PUBLIC_URL has it.
module.exports = { site: 'https://kaimen.example.com' };
