// Implements html_page.h.
#include "ir/base/html_page.h"

namespace neuronc {
namespace {

constexpr std::string_view kStyle = R"page(
body { font: 14px system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: .5em 0 1.5em; }
th, td { text-align: right; padding: .2em .7em; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
tr.used { background: #eef5ff; }
.bar { display: flex; height: 1.1em; width: 36em; background: #eee; }
.bar span { display: block; height: 100%; }
.resident { background: #4a90d9; } .streamed { background: #d9804a; }
svg { width: 100%; background: #fafafa; border: 1px solid #ddd; }
)page";

constexpr std::string_view kHelpers = R"page(
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const us = ns => (ns / 1000).toFixed(1);
const kib = bytes => (bytes / 1024).toFixed(1);
function add(parent, tag, text, attributes) {
  const element = parent.appendChild(document.createElement(tag));
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  return element;
}
function row(table, tag, texts, attributes) {
  const line = add(table, "tr", undefined, attributes);
  for (const text of texts) add(line, tag, text);
  return line;
}
)page";

// Text of the model that looks like the end of the element must not end it.
void append_json(std::string& page, std::string_view json) {
  for (const char c : json) {
    if (c == '<') {
      page += "\\u003c";
    } else {
      page += c;
    }
  }
}

}  // namespace

std::string html_page(const HtmlPage& page) {
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>";
  text += page.title;
  text += "</title>\n<style>";
  text += kStyle;
  text += "</style>\n</head>\n<body>\n";
  text += page.body;
  text += "<script type=\"application/json\" id=\"data\">";
  append_json(text, page.json);
  text += "</script>\n<script>";
  text += kHelpers;
  text += page.script;
  return text += "</script>\n</body>\n</html>\n";
}

}  // namespace neuronc
