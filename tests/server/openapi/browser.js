// What the page uses of a browser. Prints all text of the page at the end, with bars between.
"use strict";
class Element {
  constructor(name) { this.tagName = name.toUpperCase(); this.children = []; }
  append(...children) {
    for (const child of children) {
      if (typeof child !== "string" && !(child instanceof Element)) throw new Error(`added ${child}`);
    }
    this.children.push(...children);
  }
  replaceChildren(...children) { this.children = children; }
  scrollIntoView() {}
  text() {
    return [this.textContent || "", ...this.children.map((child) => child.text ? child.text() : child), ""].join("|");
  }
}
const elements = {};
for (const id of ["title", "source", "about", "operations", "status"]) elements[id] = new Element("div");
global.document = {
  createElement: (name) => new Element(name),
  getElementById: (id) => elements[id] || null,
};
global.location = { pathname: page.path, hash: "" };
global.fetch = async (url) => {
  const found = new URL(url, `http://localhost${page.path}`);
  if (found.host !== "localhost" || found.pathname !== page.source) throw new Error(`fetched ${url}`);
  return { ok: true, json: async () => JSON.parse(page.text) };
};
process.on("exit", () => {
  const text = ["title", "about", "operations"].map((id) => elements[id].text()).join("|");
  if (text.includes("could not be loaded")) process.exitCode = 1;
  console.log(text.replace(/\|+/g, "|"));
});
