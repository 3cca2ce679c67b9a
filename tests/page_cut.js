// What is cut off, or lies outside its row or the window.
return [...document.querySelectorAll("body *")].filter((node) => !node.closest("svg, .wide")
  && getComputedStyle(node).overflowX !== "visible" && !node.matches(".list") && node.clientWidth
  && (node.scrollWidth > node.clientWidth + 1 || node.matches(".row") && node.scrollHeight > node.clientHeight + 1))
  .map((node) => node.outerHTML.slice(0, 200)).concat([...document.querySelectorAll(".row")].filter((row) =>
    [...row.querySelectorAll(".words, .acts")].some((part) => { const [a, b] = [part.getBoundingClientRect(), row.getBoundingClientRect()];
      return a.top < b.top - 1 || a.bottom > b.bottom + 1 || a.right > b.right + 1; })).map((row) => row.outerHTML.slice(0, 300)))
  .concat(document.documentElement.scrollWidth > innerWidth ? ["the page is wider than its window"] : []);
