// Collects what is wrong with a model's nodes: unsupported uses are grouped by operator and reason,
// so that a thousand nodes of one unknown operator are one diagnostic with a count.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ir/base/diagnostics.h"

namespace neuronc::onnx {

class NodeReports {
 public:
  explicit NodeReports(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  // `node` identifies the node: one that is imported twice (bodies of loops) is reported once.
  void unknown_operator(const void* node, const Location& location, const std::string& reason);
  void unsupported_use(const void* node, const Location& location, const std::string& reason);
  void invalid(const void* node, const Location& location, const std::string& reason);

  // Reports the groups, then the summary over the model's `num_nodes`.
  void finish(int64_t num_nodes, const std::string& file);

  size_t num_problems() const { return num_problems_; }
  void count_problem() { ++num_problems_; }

 private:
  struct Group {
    bool is_unknown_operator = false;
    std::vector<Location> locations;  // the first few
    int64_t count = 0;
  };
  void add(const void* node, const Location& location, const std::string& reason, bool is_unknown);

  Diagnostics& diagnostics_;
  std::map<std::tuple<std::string, int64_t, std::string>, Group> groups_;
  std::set<std::pair<const void*, std::string>> seen_;
  size_t num_problems_ = 0;
};

}  // namespace neuronc::onnx
