// Implements report_page.h: elements, and the script that fills them from the report's JSON.
#include "compiler/report_page.h"

#include "ir/base/html_page.h"

namespace neuronc {
namespace {

constexpr std::string_view kBody = R"page(<h1 id="title">neuronc report</h1>
<p id="summary"></p>
<h2>Stages</h2>
<table id="stages"></table>
<h2>A request, as predicted</h2>
<div id="timeline"></div>
<h2>Weights on chip</h2>
<table id="residency"></table>
<h2>Numbers of NeuronCores</h2>
<table id="numbers"></table>
)page";

constexpr std::string_view kScript = R"page(
const report = data;
const partition = report.partition || {cores: [], table: []};
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
)page";

}  // namespace

std::string report_page(std::string_view report_json) {
  return html_page({"neuronc report", kBody, report_json, kScript});
}

}  // namespace neuronc
