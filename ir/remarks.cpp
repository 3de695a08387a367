// Implements remarks.h.
#include "ir/remarks.h"

#include "ir/base/text.h"

namespace neuronc {
namespace {
constexpr size_t kLongestText = 2000;
}

std::string to_text(const Remark& remark) {
  std::string text;
  if (!remark.pass.empty()) text += remark.pass + ": ";
  text += remark.kind == RemarkKind::done ? "done: " : "missed: ";
  text += printable(remark.text, kLongestText);
  if (!remark.where.empty()) text += " [" + printable(remark.where) + "]";
  return text;
}

void Remarks::done(std::string where, std::string text) {
  remarks_.push_back({RemarkKind::done, pass_, std::move(where), std::move(text)});
}

void Remarks::missed(std::string where, std::string text) {
  remarks_.push_back({RemarkKind::missed, pass_, std::move(where), std::move(text)});
}

std::string Remarks::to_text() const {
  std::string text;
  for (const Remark& remark : remarks_) text += neuronc::to_text(remark) + "\n";
  return text;
}

}  // namespace neuronc
