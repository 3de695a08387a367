// What passes and trials say of their decisions: what was done, and what was not and why.
//
//   remarks.done("conv1", "batch_normalization merged into the weights");
//   remarks.missed("conv1", "conv not fused with relu: two users");
//
// A remark is information for the user and the report; nothing may depend on one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace neuronc {

enum class RemarkKind : uint8_t { done, missed };

struct Remark {
  RemarkKind kind;
  std::string pass;   // the pass that spoke
  std::string where;  // the model's node, or the value as it prints
  std::string text;
};

// `fuse: missed: conv not fused with relu: two users [conv1]`
std::string to_text(const Remark& remark);

class Remarks {
 public:
  // Names the speaker of the remarks that follow; called by the pass runner.
  void set_pass(std::string_view pass) { pass_ = pass; }

  void done(std::string where, std::string text);
  void missed(std::string where, std::string text);

  const std::vector<Remark>& all() const { return remarks_; }
  std::string to_text() const;  // one a line

 private:
  std::string pass_;
  std::vector<Remark> remarks_;
};

}  // namespace neuronc
