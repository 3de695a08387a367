// A self-contained HTML page that shows one JSON text: what reports and profiles have in common. It needs
// no network.
#pragma once

#include <string>
#include <string_view>

namespace neuronc {

struct HtmlPage {
  std::string_view title;   // plain text without markup
  std::string_view body;    // elements that the script fills
  std::string_view json;    // `data` for the script
  std::string_view script;  // also has add(), row(), us() and kib()
};

std::string html_page(const HtmlPage& page);

}  // namespace neuronc
