// Controls that assistive technology would announce without a name.
() => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea, [role=option]')]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.getAttribute('aria-label') || node.title || node.innerText?.trim()
    || node.getAttribute('aria-labelledby') || node.labels?.length || node.querySelector('img[alt]:not([alt=""])')))
  .map((node) => node.outerHTML.slice(0, 160))
