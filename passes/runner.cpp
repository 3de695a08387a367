// Implements runner.h.
#include "passes/runner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "ir/base/check.h"
#include "ir/module_file.h"
#include "ir/printer.h"
#include "ir/target.h"
#include "ir/verifier.h"

namespace neuronc {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Runner {
 public:
  Runner(Module& module, PassContext& context, const RunnerOptions& options)
      : module_(module), context_(context), options_(options) {}

  Expected<PipelineResult> run(const Pipeline& pipeline);

 private:
  // Where the runner stands in each list of passes, outermost first.
  struct Place {
    std::span<const PipelineItem> items;
    size_t index = 0;
  };

  bool checks() const { return options_.verify_each == VerifyEach::yes; }
  Expected<void> check_names(const Pipeline& pipeline);
  Expected<Changed> run_items(std::span<const PipelineItem> items);
  Expected<Changed> run_fixpoint(const PipelineItem& item);
  Expected<Changed> run_pass(const Pass& pass);
  Expected<Changed> run_guarded(const Pass& pass, PassTime& time);
  Expected<void> check_change(const Pass& pass, Changed changed, const std::string& text_before);
  Expected<void> verify_after(const Pass& pass, PassTime& time);
  void show(const Pass& pass, Changed changed);
  Expected<void> dump(const Pass& pass);
  std::string rest_of_pipeline() const;
  std::string write_reproduction(std::string_view pass);
  static void on_crash(void* runner);
  PassTime& time_of(std::string_view pass);

  Module& module_;
  PassContext& context_;
  const RunnerOptions& options_;
  PipelineResult result_;
  std::vector<Place> places_;
  std::optional<Module> before_;  // the module as it was before the running pass
  std::string_view running_pass_;
  int64_t num_dumps_ = 0;
};

bool has_pass(std::span<const PipelineItem> items, std::string_view name) {
  for (const PipelineItem& item : items) {
    if (item.pass ? item.pass->info().name == name : has_pass(item.body, name)) return true;
  }
  return false;
}

Expected<void> Runner::check_names(const Pipeline& pipeline) {
  const auto check = [&](std::string_view option, const std::string& name) {
    if (name.empty() || name == "all" || has_pass(pipeline.items, name)) return true;
    context_.diagnostics.report(diag::pass_not_in_pipeline, {}, option, name);
    return false;
  };
  const bool is_good = check("--print-after", options_.print_after);
  if (!check("--stop-after", options_.stop_after) || !is_good) return reported();
  return {};
}

Expected<PipelineResult> Runner::run(const Pipeline& pipeline) {
  NEURONC_TRY(check_names(pipeline));
  NEURONC_TRY(check_stages(pipeline, module_.stage, context_.diagnostics));
  if (checks()) {
    NEURONC_TRY(verify(module_, context_.diagnostics, module_.message_name()));
  }
  NEURONC_ASSIGN(result_.changed, run_items(pipeline.items));
  return std::move(result_);
}

Expected<Changed> Runner::run_items(std::span<const PipelineItem> items) {
  Changed changed = Changed::no;
  places_.push_back({items});
  for (size_t i = 0; i < items.size() && !result_.is_stopped; ++i) {
    places_.back().index = i;
    const PipelineItem& item = items[i];
    NEURONC_ASSIGN(const Changed one, item.pass ? run_pass(*item.pass) : run_fixpoint(item));
    changed |= one;
  }
  places_.pop_back();
  return changed;
}

Expected<Changed> Runner::run_fixpoint(const PipelineItem& item) {
  Changed changed = Changed::no;
  for (int64_t round = 0; round < item.max_rounds && !result_.is_stopped; ++round) {
    NEURONC_ASSIGN(const Changed one, run_items(item.body));
    if (one == Changed::no) return changed;
    changed = Changed::yes;
  }
  if (!result_.is_stopped) {
    context_.remarks.set_pass("fixpoint");
    context_.remarks.missed("", fmt::format("`{}` still changes the module after {} rounds",
                                            to_text(item.body), item.max_rounds));
  }
  return changed;
}

Expected<Changed> Runner::run_pass(const Pass& pass) {
  const PassInfo& info = pass.info();
  if (options_.before_pass && !options_.before_pass(pass)) return reported();
  PassTime& time = time_of(info.name);
  const std::string text_before = checks() ? to_text(module_) : std::string();
  context_.remarks.set_pass(info.name);
  NEURONC_ASSIGN(Changed changed, run_guarded(pass, time));
  if (checks()) NEURONC_TRY(check_change(pass, changed, text_before));
  if (info.establishes && module_.stage != *info.establishes) {
    module_.stage = *info.establishes;
    changed = Changed::yes;
  }
  if (changed == Changed::yes) {
    ++time.num_changes;
    if (checks()) NEURONC_TRY(verify_after(pass, time));
    before_.reset();
    if (!options_.dump_dir.empty()) NEURONC_TRY(dump(pass));
  }
  show(pass, changed);
  if (options_.after_pass) options_.after_pass(pass, module_);
  if (options_.stop_after == info.name) result_.is_stopped = true;
  return changed;
}

// Runs the pass with a copy of the module at hand, should it die.
Expected<Changed> Runner::run_guarded(const Pass& pass, PassTime& time) {
  const bool keeps_copy = !options_.crash_dir.empty();
  if (keeps_copy && !before_) before_ = module_.clone();
  running_pass_ = pass.info().name;
  if (keeps_copy) set_crash_hook(&Runner::on_crash, this);
  const int64_t start = now_ns();
  auto changed = pass.run(module_, context_);
  time.time_ns += now_ns() - start;
  ++time.num_runs;
  if (keeps_copy) set_crash_hook(nullptr, nullptr);
  return changed;
}

Expected<void> Runner::check_change(const Pass& pass, Changed changed,
                                    const std::string& text_before) {
  const bool is_changed = to_text(module_) != text_before;
  if (is_changed == (changed == Changed::yes)) return {};
  context_.diagnostics.report(diag::pass_misreported_change, {}, pass.info().name,
                              is_changed ? "changed the module but says that it did not"
                                         : "says that it changed the module but did not");
  return reported();
}

Expected<void> Runner::verify_after(const Pass& pass, PassTime& time) {
  const int64_t start = now_ns();
  const auto verified = verify(module_, context_.diagnostics, module_.message_name());
  time.verify_time_ns += now_ns() - start;
  if (verified) return {};
  Diagnostic& diagnostic =
      context_.diagnostics.report(diag::pass_broke_module, {}, pass.info().name);
  if (before_) {
    const std::string command = write_reproduction(pass.info().name);
    if (!command.empty()) diagnostic.notes.push_back("reproduce with: " + command);
  }
  return reported();
}

void Runner::show(const Pass& pass, Changed changed) {
  const bool is_named = options_.print_after == "all" || options_.print_after == pass.info().name;
  const bool is_shown_change = options_.print_changed && changed == Changed::yes;
  if (!is_named && !is_shown_change) return;
  const std::string text = fmt::format("// after {}\n{}", to_text(pass), to_text(module_));
  if (options_.print) {
    options_.print(text);
  } else {
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
}

Expected<void> Runner::dump(const Pass& pass) {
  std::error_code error;
  std::filesystem::create_directories(options_.dump_dir, error);
  const std::string path =
      fmt::format("{}/{:02}-{}.nir", options_.dump_dir, num_dumps_++, pass.info().name);
  return write_module_file(module_, path, context_.diagnostics);
}

// What is still to run, the running pass first; a fix point that is under way runs again.
std::string Runner::rest_of_pipeline() const {
  std::string text;
  for (size_t level = places_.size(); level-- > 0;) {
    const std::string part = to_text(places_[level].items.subspan(places_[level].index));
    text += (text.empty() ? "" : ",") + part;
  }
  return text;
}

// Returns the command that reproduces the failure; empty if nothing could be written.
std::string Runner::write_reproduction(std::string_view pass) {
  const std::string path =
      fmt::format("{}/neuronc-crash-{}-{}.nir", options_.crash_dir, pass, ::getpid());
  const std::string command = fmt::format("neuronc opt {} --target {} --passes='{}' --verify-each",
                                          path, context_.target.name(), rest_of_pipeline());
  Diagnostics ignored;
  if (!write_module_file(*before_, path, ignored)) return "";
  const std::string text = "// Reproduces a failure of " + std::string(pass) + ":\n//   " +
                           command + "\n" + to_text(*before_);
  if (!write_file(path, text, ignored)) return "";
  return command;
}

void Runner::on_crash(void* runner_pointer) {
  auto& runner = *static_cast<Runner*>(runner_pointer);
  if (!runner.before_) return;
  const std::string command = runner.write_reproduction(runner.running_pass_);
  if (command.empty()) return;
  std::fprintf(stderr, "note: pass `%s` failed; reproduce with: %s\n",
               std::string(runner.running_pass_).c_str(), command.c_str());
}

PassTime& Runner::time_of(std::string_view pass) {
  for (PassTime& time : result_.times) {
    if (time.pass == pass) return time;
  }
  return result_.times.emplace_back(PassTime{pass});
}

}  // namespace

Expected<PipelineResult> run_pipeline(Module& module, const Pipeline& pipeline,
                                      PassContext& context, const RunnerOptions& options) {
  return Runner(module, context, options).run(pipeline);
}

std::string to_text(const std::vector<PassTime>& times) {
  std::string text = fmt::format("{:<24} {:>6} {:>8} {:>12} {:>12}\n", "pass", "runs", "changes",
                                 "time", "verify");
  int64_t total = 0;
  for (const PassTime& time : times) {
    text += fmt::format("{:<24} {:>6} {:>8} {:>9.3f} ms {:>9.3f} ms\n", time.pass, time.num_runs,
                        time.num_changes, static_cast<double>(time.time_ns) * 1e-6,
                        static_cast<double>(time.verify_time_ns) * 1e-6);
    total += time.time_ns + time.verify_time_ns;
  }
  return text + fmt::format("total {:.3f} ms\n", static_cast<double>(total) * 1e-6);
}

}  // namespace neuronc
