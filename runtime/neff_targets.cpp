// Reads the beginning of neff.json as a stream of events and stops behind the targets: the rest may
// be megabytes, and loading must not pay for it.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "runtime/neff_reader.h"

namespace neuronc::runtime {
namespace {

using Json = nlohmann::json;

// Collects targets[].isa and targets[].features[].
class TargetEvents : public nlohmann::json_sax<Json> {
 public:
  std::vector<NeffTarget> targets;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t number) override {
    constexpr number_unsigned_t kMostGroups = 1024;
    if (is_in_target(3) && key_ == "groups" && number > 0) {
      targets.back().num_groups = static_cast<uint32_t>(std::min(number, kMostGroups));
    }
    return true;
  }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool string(string_t& text) override {
    if (is_in_target(3) && key_ == "isa") targets.back().isa = text;
    if (is_in_target(4) && key_ == "features") targets.back().features.push_back(text);
    return true;
  }
  bool start_object(std::size_t) override {
    ++depth_;
    if (is_in_target(3)) targets.emplace_back();
    return true;
  }
  bool key(string_t& text) override {
    if (depth_ == 1) is_targets_ = text == "targets";
    key_ = text;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return !(is_targets_ && depth_ == 1);
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  // At this depth inside an element of the list; the element itself is at depth 3.
  bool is_in_target(int depth) const {
    return is_targets_ && depth_ == depth && (depth == 3 || !targets.empty());
  }

  int depth_ = 0;
  bool is_targets_ = false;
  std::string key_;
};

}  // namespace

std::vector<NeffTarget> NeffImage::targets() const {
  TargetEvents events;
  if (const NeffMemberView* json = find("neff.json")) {
    const auto* text = reinterpret_cast<const char*>(json->bytes.data());
    Json::sax_parse(text, text + json->bytes.size(), &events);
  }
  std::vector<NeffTarget> listed;
  std::vector<NeffTarget> unlisted;
  for (NeffTarget& target : events.targets) {
    if (find(target.isa + "/code.so") != nullptr) listed.push_back(std::move(target));
  }
  for (const std::string& isa : isas()) {
    const auto is_same = [&](const NeffTarget& target) { return target.isa == isa; };
    const auto it = std::find_if(listed.begin(), listed.end(), is_same);
    if (it == listed.end())
      unlisted.push_back({isa, features_in_name(isa)});
    else if (it->features.empty())
      it->features = features_in_name(isa);
  }
  // Levels compare as text; behind the level, more features are better.
  const auto key = [](const NeffTarget& target) {
    return std::pair(target.features[0], target.features.size());
  };
  std::stable_sort(unlisted.begin(), unlisted.end(),
                   [&](const NeffTarget& a, const NeffTarget& b) { return key(a) < key(b); });
  unlisted.insert(unlisted.end(), listed.begin(), listed.end());
  return unlisted;
}

std::string NeffImage::nodes_of(std::string_view kernel_symbol) const {
  const NeffMemberView* member = find("neff.json");
  if (member == nullptr) return {};
  const auto* text = reinterpret_cast<const char*>(member->bytes.data());
  const Json json = Json::parse(text, text + member->bytes.size(), nullptr, false);
  if (!json.is_object() || !json.contains("kernels") || !json["kernels"].is_array()) return {};
  std::string names;
  std::set<std::string> seen;  // each target has a kernel of this name
  for (const Json& kernel : json["kernels"]) {
    if (!kernel.is_object() || kernel.value("symbol", Json()) != kernel_symbol) continue;
    if (!kernel.contains("nodes") || !kernel["nodes"].is_array()) continue;
    for (const Json& node : kernel["nodes"]) {
      const Json name = node.is_object() ? node.value("name", Json()) : Json();
      if (!name.is_string() || !seen.insert(name.get<std::string>()).second) continue;
      names += (names.empty() ? " (nodes `" : ", `") + name.get<std::string>() + "`";
    }
  }
  return names.empty() ? names : names + ")";
}

}  // namespace neuronc::runtime
