// [contrast ratio by WCAG 2.2, markup] of each element with text of its own.
const luminance = (color) => { const c = color.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)); return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
const ground = (node) => { for (; node; node = node.parentElement) { const color = getComputedStyle(node).backgroundColor;
  if (!/, 0\)$|transparent/.test(color)) return color; } return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18, 18, 18)" : "rgb(255, 255, 255)"; };
return [...document.querySelectorAll("body *")].filter((node) => node.offsetParent && [...node.childNodes]
  .some((child) => child.nodeType === 3 && child.textContent.trim())).map((node) => {
    const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.outerHTML.slice(0, 120)]; });
