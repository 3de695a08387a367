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

struct NodeProblem {
  bool is_unsupported = false;  // else the model is wrong
  std::string reason;
};

class NodeReports {
 public:
  explicit NodeReports(Diagnostics& diagnostics) : diagnostics_(&diagnostics) {}

  // `node` identifies the node: one that is imported twice (bodies of loops) is reported once.
  void unknown_operator(const void* node, const Location& location, const std::string& reason);
  void unsupported_use(const void* node, const Location& location, const std::string& reason);
  void invalid(const void* node, const Location& location, const std::string& reason);
  void bad_call(const void* node, const Location& location, const std::string& reason);
  void too_large(const void* node, const Location& location, const std::string& type);
  void over_limit(const void* node, const Location& location, const std::string& what,
                  int64_t limit);

  // Reports the groups, then the summary over the model's `num_nodes`.
  void finish(int64_t num_nodes, const std::string& file);

  size_t num_problems() const { return num_problems_; }
  bool has_node_problems() const { return !problems_.empty(); }
  // What was first reported of a node; nullptr: nothing.
  const NodeProblem* problem_of(const void* node) const;
  void count_problem() { ++num_problems_; }
  int64_t num_unsupported() const;

 private:
  struct Group {
    bool is_unknown_operator = false;
    std::vector<Location> locations;  // the first few
    int64_t count = 0;
  };
  void add(const void* node, const Location& location, const std::string& reason, bool is_unknown);
  // Whether the problem is new.
  bool note(const void* node, const std::string& reason, bool is_unsupported);

  Diagnostics* diagnostics_;
  std::map<std::tuple<std::string, int64_t, std::string>, Group> groups_;
  std::set<std::pair<const void*, std::string>> seen_;
  std::map<const void*, NodeProblem> problems_;
  size_t num_problems_ = 0;
};

}  // namespace neuronc::onnx
