// The report as a page for a browser.
#pragma once

#include <string>
#include <string_view>

namespace neuronc {

// A page that needs nothing beside itself and shows `report_json`, the report of --report: stages,
// predicted timeline, what stays on chip, and the table over numbers of cores.
std::string report_page(std::string_view report_json);

}  // namespace neuronc
