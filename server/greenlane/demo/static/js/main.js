// Hands each part of the page to the module that brings it to life, and marks what lives. A part that fails
// leaves the others alone.

for (const root of document.querySelectorAll('[data-part]')) {
  import(`./${root.dataset.part}.js`)
    .then((part) => {
      part.mount(root);
      root.dataset.alive = '';
    })
    .catch(console.error);
}
