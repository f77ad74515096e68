// DOM nodes in short: element("button", { class: "chip", text: "class token", onclick }, child, child).

export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// An SVG node.
export function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// For a node that holds text only. Writing the same text again would make the browser lay the page out again, and `textContent`
// would make a new text node each time, which costs much more than new words in the old one.
export function setText(node, text) {
  const old = node.firstChild;
  if (!old) node.append(text);
  else if (old.data !== text) old.data = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
