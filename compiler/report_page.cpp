// Implements report_page.h: one text around the report's JSON.
#include "compiler/report_page.h"

namespace neuronc {
namespace {

constexpr std::string_view kHead = R"page(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>neuronc report</title>
<style>
body { font: 14px system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: .5em 0 1.5em; }
th, td { text-align: right; padding: .2em .7em; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
tr.used { background: #eef5ff; }
.bar { display: flex; height: 1.1em; width: 36em; background: #eee; }
.bar span { display: block; height: 100%; }
.resident { background: #4a90d9; } .streamed { background: #d9804a; }
svg { width: 100%; background: #fafafa; border: 1px solid #ddd; }
</style>
</head>
<body>
<h1 id="title">neuronc report</h1>
<p id="summary"></p>
<h2>Stages</h2>
<table id="stages"></table>
<h2>A request, as predicted</h2>
<div id="timeline"></div>
<h2>Weights on chip</h2>
<table id="residency"></table>
<h2>Numbers of NeuronCores</h2>
<table id="numbers"></table>
<script type="application/json" id="report">)page";

constexpr std::string_view kTail = R"page(</script>
<script>
"use strict";
const report = JSON.parse(document.getElementById("report").textContent);
const partition = report.partition || {cores: [], table: []};
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
function showSummary() {
  document.getElementById("title").textContent = report.model.file;
  const operations = report.operations;
  document.getElementById("summary").textContent =
      `${operations.on_neuroncores} operations on NeuronCores, ${operations.on_host} on the host. ` +
      `${partition.strategy || "not partitioned"}: a request takes ${us(partition.latency_ns || 0)} us, ` +
      `one every ${us(partition.period_ns || 0)} us, predicted by hardware model ` +
      `${partition.hardware || "-"}. ${partition.more_cores || ""}`;
}
function showStages() {
  const table = document.getElementById("stages");
  row(table, "th", ["core", "stage", "kernels", "time us", "received KiB", "sent KiB"]);
  partition.cores.forEach((core, i) => row(table, "td", [
    i, Math.floor(i / partition.cores_per_stage), core.nodes, us(core.time_ns),
    kib(core.received_bytes), kib(core.sent_bytes)]));
}
function showTimeline() {
  const events = report.timeline || [];
  const end = events.reduce((most, e) => Math.max(most, e.start_ns + e.time_ns), 1);
  const svg = "http://www.w3.org/2000/svg", height = 26;
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("viewBox", `0 0 1000 ${height * Math.max(partition.cores.length, 1)}`);
  events.forEach((event, i) => {
    const box = document.createElementNS(svg, "rect");
    box.setAttribute("x", event.start_ns / end * 1000);
    box.setAttribute("y", event.core * height + 3);
    box.setAttribute("width", Math.max(event.time_ns / end * 1000, 0.2));
    box.setAttribute("height", height - 6);
    box.setAttribute("fill", `hsl(${i * 47 % 360} 55% 60%)`);
    const title = document.createElementNS(svg, "title");
    title.textContent = `core ${event.core}: ${event.name}, ${us(event.time_ns)} us`;
    box.appendChild(title);
    picture.appendChild(box);
  });
  document.getElementById("timeline").appendChild(picture);
}
function showResidency() {
  const table = document.getElementById("residency");
  row(table, "th", ["core", "resident KiB", "left KiB", "streamed KiB a request", ""]);
  partition.cores.forEach((core, i) => {
    const line = row(table, "td", [
      i, kib(core.resident_bytes), kib(core.left_bytes), kib(core.streamed_bytes)]);
    const bar = add(add(line, "td"), "div", undefined, {class: "bar"});
    const all = core.resident_bytes + core.left_bytes + core.streamed_bytes || 1;
    for (const part of ["resident", "streamed"]) {
      add(bar, "span", undefined,
          {class: part, style: `width: ${100 * core[part + "_bytes"] / all}%`, title: part});
    }
  });
}
function showNumbers() {
  const table = document.getElementById("numbers");
  row(table, "th", ["N", "latency us", "by", "a request every us", "by", "data us", "balance",
                    "traffic KiB", "one more"]);
  const used = partition.stages * partition.cores_per_stage;
  for (const line of partition.table) {
    row(table, "td", [line.cores, us(line.latency_ns), line.latency_strategy, us(line.period_ns),
        line.throughput_strategy, us(line.data_period_ns), (100 * line.balance).toFixed(0) + "%",
        kib(line.moved_bytes), line.more_cores], line.cores === used ? {class: "used"} : {});
  }
}
showSummary();
showStages();
showTimeline();
showResidency();
showNumbers();
</script>
</body>
</html>
)page";

}  // namespace

// Text of the model that looks like the end of the element must not end it.
std::string report_page(std::string_view report_json) {
  std::string page(kHead);
  for (const char c : report_json) {
    if (c == '<') {
      page += "\\u003c";
    } else {
      page += c;
    }
  }
  return page += kTail;
}

}  // namespace neuronc
