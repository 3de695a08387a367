// Implements public_api.h.
#include "compiler/public_api.h"

#include <algorithm>
#include <cstring>

#include "ir/base/entry.h"

namespace neuronc {
namespace {

Message::Severity public_severity(Severity severity) {
  switch (severity) {
    case Severity::note:
      return Message::Severity::note;
    case Severity::warning:
      return Message::Severity::warning;
    case Severity::error:
      return Message::Severity::error;
  }
  return Message::Severity::error;
}

// Copies members that lie inside the first `size_bytes` of `given`.
class Prefix {
 public:
  Prefix(const CompileOptions& given, CompileOptions& result) : given_(given), result_(result) {}

  template <class T>
  Prefix& take(T CompileOptions::* member) {
    // Of an object of ours: the given one may be shorter.
    const auto* base = reinterpret_cast<const char*>(&result_);
    const auto end = reinterpret_cast<const char*>(&(result_.*member)) - base + sizeof(T);
    if (end <= given_.size_bytes) result_.*member = given_.*member;
    return *this;
  }

 private:
  const CompileOptions& given_;
  CompileOptions& result_;
};

}  // namespace

Message to_message(const Diagnostic& diagnostic) {
  Message message;
  message.severity = public_severity(diagnostic.severity);
  message.code = diagnostic.code;
  message.text = to_text(diagnostic);
  message.summary = diagnostic.message;
  message.file = diagnostic.location.file;
  message.node = diagnostic.location.node;
  message.op = diagnostic.location.op;
  message.opset = diagnostic.location.opset;
  message.tensor = diagnostic.location.tensor;
  message.hints = diagnostic.notes;
  return message;
}

CompileOptions current_options(const CompileOptions& given) {
  using O = CompileOptions;
  CompileOptions result;
  Prefix(given, result)
      .take(&O::num_neuroncores)
      .take(&O::partition)
      .take(&O::optimize_for)
      .take(&O::auto_cast)
      .take(&O::auto_cast_type)
      .take(&O::keep_fp32)
      .take(&O::numerics)
      .take(&O::reductions)
      .take(&O::dims)
      .take(&O::input_shapes)
      .take(&O::fixed_inputs)
      .take(&O::target_cpu)
      .take(&O::hardware_model)
      .take(&O::optimization_level)
      .take(&O::passes)
      .take(&O::emit_kernels)
      .take(&O::max_host_ops)
      .take(&O::print_after)
      .take(&O::print_changed)
      .take(&O::time_passes)
      .take(&O::dump_dir)
      .take(&O::crash_dir)
      .take(&O::print)
      .take(&O::outputs)
      .take(&O::external_data_dirs)
      .take(&O::external_data)
      .take(&O::num_jobs)
      .take(&O::progress)
      .take(&O::log)
      .take(&O::cache_dir)
      .take(&O::cache_limit_bytes)
      .take(&O::tune)
      .take(&O::tune_file);
  return result;
}

bool Monitor::tick(const Progress& progress) {
  flush();
  if (cancelled_in_.empty() && options_.progress) {
    bool goes_on = true;
    on_calling_thread([&] { goes_on = options_.progress(progress); });
    if (!goes_on) cancelled_in_ = progress.phase;
  }
  return cancelled_in_.empty();
}

void Monitor::say_cancelled() {
  flush();
  diagnostics_.clear();
  num_logged_ = 0;
  diagnostics_.report(diag::cancelled, {}, cancelled_in_);
}

void Monitor::flush() {
  if (!options_.log) return;
  const std::vector<Diagnostic>& all = diagnostics_.all();
  for (; num_logged_ < all.size(); ++num_logged_) {
    const Message message = to_message(all[num_logged_]);
    on_calling_thread([&] { options_.log(message); });
  }
}

}  // namespace neuronc
