// Runs the scripts of a page in a document that has just what they use, and prints what they made of it:
// {"elements": {"svg": 1, "rect": 12, ...}, "texts": [...]}.
"use strict";
const fs = require("fs");
const vm = require("vm");
const page = fs.readFileSync(process.argv[2], "utf8");
const counts = {};
const texts = [];
function makeElement(tag, text) {
  return {
    tag, children: [], attributes: {}, text: text || "", style: {},
    set textContent(value) { this.text = String(value); texts.push(this.text); },
    get textContent() { return this.text; },
    appendChild(child) {
      this.children.push(child);
      counts[child.tag] = (counts[child.tag] || 0) + 1;
      return child;
    },
    setAttribute(name, value) { this.attributes[name] = String(value); },
    addEventListener() {},
  };
}
const byId = {};
for (const [, tag, id] of page.matchAll(/<(\w+)[^>]*\bid="([^"]*)"/g)) byId[id] = makeElement(tag);
const scripts = [...page.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)];
for (const [, attributes, body] of scripts) {
  const id = /id="([^"]*)"/.exec(attributes);
  if (attributes.includes("application/json")) byId[id[1]].text = body;
}
const document = {
  getElementById(id) {
    if (!byId[id]) throw new Error(`the page has no element ${id}`);
    return byId[id];
  },
  createElement: tag => makeElement(tag),
  createElementNS: (_, tag) => makeElement(tag),
};
for (const [, attributes, body] of scripts) {
  if (attributes.includes("application/json")) continue;
  vm.runInNewContext(body, {document, JSON, Math, Object, Number, String});
}
console.log(JSON.stringify({elements: counts, texts}));
